-- What a task has cost is asked with each of its results: without this index all usage is read for it.
CREATE INDEX idx_resource_usage_execution ON resource_usage (execution_id) WHERE execution_id IS NOT NULL

-- Usage per day: what dashboards and reports read (decision E11). Kept by a trigger, so that it is
-- exact whoever writes.
CREATE TABLE resource_usage_daily (
    project_id UUID NOT NULL,
    usage_date DATE NOT NULL,
    resource_type VARCHAR(50) NOT NULL,
    unit VARCHAR(20) NOT NULL,
    amount NUMERIC(20, 6) NOT NULL,
    cost_cad NUMERIC(20, 6) DEFAULT '0' NOT NULL,
    transaction_count BIGINT NOT NULL,
    CONSTRAINT pk_resource_usage_daily PRIMARY KEY (project_id, usage_date, resource_type, unit),
    CONSTRAINT ck_resource_usage_daily_type CHECK (resource_type IN ('money','time','api_calls','cpu','memory','storage','network')),
    CONSTRAINT fk_resource_usage_daily_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
)

CREATE INDEX idx_resource_usage_daily_date ON resource_usage_daily (usage_date)

INSERT INTO resource_usage_daily
SELECT project_id, (recorded_at AT TIME ZONE 'UTC')::date, resource_type, unit,
       sum(amount), coalesce(sum(cost_cad), 0), count(*)
FROM resource_usage GROUP BY 1, 2, 3, 4

-- Keys in one order, so that two batches never wait for each other.
CREATE FUNCTION add_usage_to_daily() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO resource_usage_daily AS daily
    SELECT project_id, (recorded_at AT TIME ZONE 'UTC')::date, resource_type, unit,
           sum(amount), coalesce(sum(cost_cad), 0), count(*)
    FROM inserted GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (project_id, usage_date, resource_type, unit) DO UPDATE SET
        amount = daily.amount + excluded.amount,
        cost_cad = daily.cost_cad + excluded.cost_cad,
        transaction_count = daily.transaction_count + excluded.transaction_count;
    RETURN NULL;
END
$$

-- One statement, one look at its rows: all budgets that they touch are locked in the order of their
-- ids. A trigger for each row takes them in the order of the rows and deadlocks.
CREATE FUNCTION enforce_resource_budget() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[];
    added numeric[];
    asked numeric[];
    broken record;
BEGIN
    -- Rows of the ledger have a reservation: their amounts were moved by it (decision D2).
    WITH RECURSIVE used AS (
        SELECT project_id, execution_id, resource_type, unit,
               (recorded_at AT TIME ZONE 'UTC')::date AS day, sum(amount) AS amount,
               coalesce(sum(amount) FILTER (WHERE enforcement = 'authorise'), 0) AS asked
        FROM inserted WHERE reservation_id IS NULL
        GROUP BY 1, 2, 3, 4, 5
    ), line AS (
        SELECT executions.id AS execution_id, executions.task_id
        FROM executions
        WHERE executions.id IN (SELECT execution_id FROM used)
        UNION
        SELECT line.execution_id, tasks.parent_task_id
        FROM line JOIN tasks ON tasks.id = line.task_id
        WHERE tasks.parent_task_id IS NOT NULL
    ), touched AS (
        SELECT budget.id, sum(used.amount) FILTER (WHERE used.unit = budget.unit) AS amount,
               sum(used.asked) AS asked
        FROM used JOIN resource_budgets AS budget
            ON budget.project_id = used.project_id
            AND budget.resource_type = used.resource_type
            AND used.day BETWEEN budget.period_start AND budget.period_end
            AND (budget.task_id IS NULL OR (used.execution_id, budget.task_id) IN (SELECT * FROM line))
        WHERE used.unit = budget.unit OR used.asked > 0
        GROUP BY budget.id
    )
    SELECT array_agg(touched.id), array_agg(touched.amount), array_agg(touched.asked)
    INTO ids, added, asked
    FROM touched;
    IF ids IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM 1 FROM resource_budgets WHERE id = ANY (ids) ORDER BY id FOR UPDATE;
    -- A new statement: it sees what the transactions that it waited for have written.
    SELECT budget.*, change.added AS adding INTO broken
    FROM unnest(ids, added, asked) AS change (id, added, asked)
        JOIN resource_budgets AS budget ON budget.id = change.id
    WHERE change.asked > 0 AND (
        change.added IS NULL
        OR budget.used_amount + budget.reserved_amount + change.added > budget.allocated_amount)
    ORDER BY budget.id LIMIT 1;
    IF FOUND AND broken.adding IS NULL THEN
        RAISE EXCEPTION 'The budget of project % for % counts in %; usage in another unit cannot be authorised by it',
            broken.project_id, broken.resource_type, broken.unit
            USING ERRCODE = 'check_violation', DETAIL = 'AV:BUDGET_UNIT_MISMATCH',
                TABLE = 'resource_usage';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'Resource budget exceeded for project % resource %: current=%, adding=%, budget=%',
            broken.project_id, broken.resource_type,
            broken.used_amount + broken.reserved_amount, broken.adding, broken.allocated_amount
            USING ERRCODE = 'check_violation', DETAIL = 'AV:BUDGET_EXCEEDED',
                TABLE = 'resource_usage';
    END IF;
    UPDATE resource_budgets AS budget
    SET used_amount = budget.used_amount + change.added, updated_at = now()
    FROM unnest(ids, added) AS change (id, added)
    WHERE budget.id = change.id AND change.added > 0;
    RETURN NULL;
END
$$

CREATE TRIGGER enforce_budget_after_insert AFTER INSERT ON resource_usage
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION enforce_resource_budget()

CREATE TRIGGER roll_up_usage_after_insert AFTER INSERT ON resource_usage
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION add_usage_to_daily()

-- Checkpoints that nobody has verified yet wait in a queue, and its readers are told.
CREATE FUNCTION verify_checkpoint_integrity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO checkpoint_verification_queue (checkpoint_id) VALUES (NEW.id);
    RETURN NULL;
END
$$

CREATE TRIGGER schedule_checkpoint_verification AFTER INSERT ON checkpoints
    FOR EACH ROW WHEN (NEW.verification_status = 'pending')
    EXECUTE FUNCTION verify_checkpoint_integrity()

CREATE FUNCTION queue_checkpoint_verification() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('checkpoint_verification',
        json_build_object('checkpoint_id', NEW.id, 'created_at', NEW.created_at)::text);
    RETURN NULL;
END
$$

CREATE TRIGGER queue_verification_after_insert AFTER INSERT ON checkpoints
    FOR EACH ROW WHEN (NEW.verification_status = 'pending')
    EXECUTE FUNCTION queue_checkpoint_verification()

-- Whoever verifies a checkpoint, its place in the queue is done with.
CREATE FUNCTION finish_checkpoint_verification() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE checkpoint_verification_queue
    SET status = CASE NEW.verification_status WHEN 'verified' THEN 'done' ELSE 'failed' END,
        finished_at = now(), locked_by = NULL
    WHERE checkpoint_id = NEW.id AND status IN ('queued', 'processing');
    RETURN NULL;
END
$$

CREATE TRIGGER finish_checkpoint_verification AFTER UPDATE ON checkpoints
    FOR EACH ROW WHEN (OLD.verification_status = 'pending' AND NEW.verification_status <> 'pending')
    EXECUTE FUNCTION finish_checkpoint_verification()

-- Rows of the month that DEFAULT took in meanwhile move along. Returns whether there was one to
-- make.
CREATE FUNCTION create_monthly_partition(table_name text, start_date date) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    first_day date := date_trunc('month', start_date)::date;
    name text := table_name || '_' || to_char(first_day, 'YYYY_MM');
    lower_bound text := first_day::text || ' 00:00:00+00';
    upper_bound text := (first_day + interval '1 month')::date::text || ' 00:00:00+00';
BEGIN
    -- Two that make the same one: the second waits, and finds it made.
    PERFORM pg_advisory_xact_lock(hashtext('create_monthly_partition'), hashtext(table_name));
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', table_name || '_default');
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, table_name);
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE recorded_at >= %L AND recorded_at < %L RETURNING *)'
        ' INSERT INTO %I SELECT * FROM moved', table_name || '_default', lower_bound, upper_bound, name);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        table_name, name, lower_bound, upper_bound);
    RETURN true;
END
$$

-- Whole months go by dropping their partitions; what DEFAULT holds goes row by row.
CREATE FUNCTION cleanup_old_resource_usage(before timestamptz DEFAULT now() - interval '1 year')
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    part record;
    rows bigint;
    total bigint := 0;
BEGIN
    FOR part IN
        SELECT child.relname AS name FROM pg_inherits
            JOIN pg_class AS child ON child.oid = inhrelid
        WHERE inhparent = 'resource_usage'::regclass
            AND child.relname ~ '^resource_usage_[0-9]{4}_[0-9]{2}$'
            AND (to_date(right(child.relname, 7), 'YYYY_MM') + interval '1 month')
                <= (before AT TIME ZONE 'UTC')
        ORDER BY child.relname
    LOOP
        EXECUTE format('SELECT count(*) FROM %I', part.name) INTO rows;
        EXECUTE format('DROP TABLE %I', part.name);
        total := total + rows;
    END LOOP;
    DELETE FROM resource_usage WHERE recorded_at < before;
    GET DIAGNOSTICS rows = ROW_COUNT;
    total := total + rows;
    INSERT INTO maintenance_log (operation, affected_rows) VALUES ('cleanup_resource_usage', total);
    RETURN total;
END
$$

CREATE MATERIALIZED VIEW mv_project_resource_summary AS
SELECT p.id AS project_id, p.name AS project_name, p.greediness, daily.usage_date,
       daily.resource_type, daily.unit, daily.amount AS total_amount,
       round(daily.amount / daily.transaction_count, 6) AS avg_amount,
       daily.cost_cad AS total_cost_cad, daily.transaction_count
FROM projects AS p JOIN resource_usage_daily AS daily ON daily.project_id = p.id
WHERE daily.usage_date >= (now() AT TIME ZONE 'UTC')::date - 90

CREATE UNIQUE INDEX idx_mv_project_summary
    ON mv_project_resource_summary (project_id, usage_date, resource_type, unit)

CREATE VIEW project_resource_summary AS SELECT * FROM mv_project_resource_summary

CREATE MATERIALIZED VIEW mv_machine_performance AS
SELECT machine_type, count(*) AS total_machines,
       count(*) FILTER (WHERE status = 'terminated') AS terminated_machines,
       round(avg(extract(epoch FROM terminated_at - spawned_at) / 60))::integer AS avg_runtime_minutes,
       count(*) FILTER (WHERE status = 'terminated' AND error_message IS NULL) AS successful_count,
       round(100.0 * count(*) FILTER (WHERE status = 'terminated' AND error_message IS NULL)
           / nullif(count(*) FILTER (WHERE status = 'terminated'), 0), 2) AS success_rate_percent,
       round(avg(CASE WHEN resource_usage->>'money' ~ '^[0-9]+([.][0-9]+)?$'
           THEN (resource_usage->>'money')::numeric END), 6) AS avg_money_cost,
       round(avg(CASE WHEN resource_usage->>'api_calls' ~ '^[0-9]+$'
           THEN (resource_usage->>'api_calls')::numeric END), 6) AS avg_api_calls,
       round(avg(checkpoint_count), 6) AS avg_checkpoints_created
FROM intelligent_machines
WHERE spawned_at >= (now() AT TIME ZONE 'UTC')::date - 30 AND machine_type <> 'hub'
GROUP BY machine_type

CREATE UNIQUE INDEX idx_mv_machine_performance ON mv_machine_performance (machine_type)

-- The success rate of all machines here, of those that have ended there: the sources differ.
CREATE VIEW machine_performance_metrics AS
SELECT machine_type, total_machines, avg_runtime_minutes,
       successful_count AS successful_machines,
       round(100.0 * successful_count / total_machines, 2) AS success_rate_percent,
       avg_money_cost, avg_api_calls, avg_checkpoints_created
FROM mv_machine_performance

-- Deleted paths are part of a path's history, too.
DROP INDEX idx_checkpoints_paths_gin

CREATE INDEX idx_checkpoints_paths_gin ON checkpoints USING gin ((jsonb_path_query_array(file_manifest, '$."files"[*]."path"') || coalesce(file_manifest -> 'deleted', '[]'::jsonb)) jsonb_path_ops)

-- What a token is for: a password change ends sessions, a token of an e-mail opens nothing else.
ALTER TABLE api_tokens ADD COLUMN kind VARCHAR(20) DEFAULT 'api' NOT NULL CONSTRAINT ck_api_tokens_kind CHECK (kind IN ('api','session','verification','link'))

-- Failed logins of an account, or from an address, and how long the next one is refused.
CREATE TABLE login_throttles (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    throttle_key VARCHAR(300) NOT NULL,
    failures INTEGER NOT NULL,
    last_failed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    blocked_until TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_login_throttles PRIMARY KEY (id),
    CONSTRAINT uq_login_throttles_key UNIQUE (throttle_key)
)

CREATE INDEX idx_login_throttles_time ON login_throttles (last_failed_at)

-- Answers of calls with an idempotency key: a repeat gets the same one.
CREATE TABLE idempotent_replies (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    actor_id VARCHAR(100) NOT NULL,
    idempotency_key VARCHAR(200) NOT NULL,
    operation VARCHAR(200) NOT NULL,
    request_hash CHAR(64) NOT NULL,
    response TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_idempotent_replies PRIMARY KEY (id),
    CONSTRAINT uq_idempotent_replies_key UNIQUE (actor_id, idempotency_key)
)

CREATE INDEX idx_idempotent_replies_created ON idempotent_replies (created_at)

-- What kind of worker an order asks for, as text: claims go by it, so that they never walk over
-- orders that they cannot take. It is '-' while the order may not be claimed at all.
ALTER TABLE work_orders ADD COLUMN route VARCHAR(2000) DEFAULT '*|*|*|' NOT NULL

DROP INDEX idx_work_orders_claim

CREATE INDEX idx_work_orders_claim ON work_orders (queue_name, route, priority DESC, fair_key, id) WHERE status = 'pending'

-- Where a project's newest order stands in a queue, and how many of its tasks may run at once.
CREATE TABLE queue_shares (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    queue_name VARCHAR(50) NOT NULL,
    project_id UUID NOT NULL,
    last_fair_key DOUBLE PRECISION DEFAULT '0' NOT NULL,
    max_running INTEGER,
    CONSTRAINT pk_queue_shares PRIMARY KEY (id),
    CONSTRAINT ck_queue_shares_max_running CHECK (max_running IS NULL OR max_running > 0),
    CONSTRAINT uq_queue_shares UNIQUE (queue_name, project_id),
    CONSTRAINT fk_queue_shares_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
)

CREATE INDEX idx_queue_shares_project ON queue_shares (project_id)

-- Four holds are written per call. Their keys to calls and budgets, looked up row by row, cost as
-- much as the rows; the statement that writes the holds writes the call, too. The holds of a call
-- are deleted with it; they outlive their budgets. What a settlement changes fits beside the rows.
ALTER TABLE budget_holds
    DROP CONSTRAINT fk_budget_holds_reservation_id,
    DROP CONSTRAINT fk_budget_holds_budget_id,
    DROP CONSTRAINT uq_budget_holds,
    DROP COLUMN id,
    ADD CONSTRAINT pk_budget_holds PRIMARY KEY (reservation_id, budget_id)

DROP INDEX idx_budget_holds_budget

ALTER TABLE budget_holds SET (fillfactor = 60)

ALTER TABLE resource_budgets SET (fillfactor = 20)

CREATE FUNCTION delete_holds_of_calls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM budget_holds USING gone WHERE budget_holds.reservation_id = gone.id;
    RETURN NULL;
END
$$

CREATE TRIGGER delete_holds_after_call AFTER DELETE ON budget_reservations
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION delete_holds_of_calls()

-- When the used-up quota of a provider's key resets: all processes wait for it.
CREATE TABLE provider_pauses (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    opens_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_provider_pauses PRIMARY KEY (id)
)
