-- The roles stay: other databases of the server may use them.
DROP SCHEMA orders CASCADE;
DROP SCHEMA inventory CASCADE;
DROP SCHEMA email CASCADE;
