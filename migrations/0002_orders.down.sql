DROP TABLE orders.order_items;
DROP TABLE orders.orders;
