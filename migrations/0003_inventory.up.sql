CREATE TABLE inventory.items (
    item_id   text   PRIMARY KEY,
    available bigint NOT NULL CHECK (available >= 0),
    reserved  bigint NOT NULL CHECK (reserved >= 0)
);

-- What each order holds, or was refused, or has given back. There is no reference to the items: an
-- order that is cancelled releases all that it named, also what it never held or what there never was.
CREATE TABLE inventory.reservations (
    order_id uuid   NOT NULL,
    item_id  text   NOT NULL,
    quantity bigint NOT NULL,
    state    text   NOT NULL CHECK (state IN ('reserved', 'refused', 'released')),
    PRIMARY KEY (order_id, item_id)
);

-- Plenty of nine items, and little of the tenth, so that selling out shows by itself.
INSERT INTO inventory.items (item_id, available, reserved)
SELECT format('ITEM-%s', lpad(number::text, 3, '0')), CASE number WHEN 10 THEN 25 ELSE 1000000 END, 0
FROM generate_series(1, 10) AS number;
