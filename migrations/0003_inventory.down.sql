DROP TABLE inventory.reservations;
DROP TABLE inventory.items;
