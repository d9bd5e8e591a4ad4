//! What an order, an item, a stock level and an event are.
