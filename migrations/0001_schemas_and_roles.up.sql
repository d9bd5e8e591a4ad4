-- One schema and one role for each service that keeps anything. A role may use its own schema and
-- nothing else. Roles belong to the whole server, so they may be there from another database of it;
-- their passwords are no part of the schema and are set by `migrate up`.
DO $$
DECLARE
    service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['orders', 'inventory', 'email'] LOOP
        -- Two databases of one server may be migrated at the same time.
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', service);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
        EXECUTE format('CREATE SCHEMA %I', service);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', service, service);
        EXECUTE format(
            'ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I',
            service, service
        );
    END LOOP;
END
$$;
