-- What a task has cost is asked with each of its results: without this index all usage is read for it.
CREATE INDEX idx_resource_usage_execution ON resource_usage (execution_id) WHERE execution_id IS NOT NULL

-- Usage per day: what dashboards and reports read (decision E11). Kept by a trigger, so that it is
-- exact whoever writes. Amounts are integers, millionths, as everywhere on this backend.
CREATE TABLE resource_usage_daily (
    project_id CHAR(32) NOT NULL,
    usage_date DATE NOT NULL,
    resource_type VARCHAR(50) NOT NULL,
    unit VARCHAR(20) NOT NULL,
    amount BIGINT NOT NULL,
    cost_cad BIGINT DEFAULT '0' NOT NULL,
    transaction_count BIGINT NOT NULL,
    CONSTRAINT pk_resource_usage_daily PRIMARY KEY (project_id, usage_date, resource_type, unit),
    CONSTRAINT ck_resource_usage_daily_type CHECK (resource_type IN ('money','time','api_calls','cpu','memory','storage','network')),
    CONSTRAINT fk_resource_usage_daily_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
)

CREATE INDEX idx_resource_usage_daily_date ON resource_usage_daily (usage_date)

INSERT INTO resource_usage_daily
SELECT project_id, date(recorded_at), resource_type, unit, sum(amount), coalesce(sum(cost_cad), 0),
       count(*)
FROM resource_usage GROUP BY 1, 2, 3, 4

CREATE TRIGGER roll_up_usage_after_insert AFTER INSERT ON resource_usage
    FOR EACH ROW
BEGIN
    INSERT INTO resource_usage_daily
    VALUES (NEW.project_id, date(NEW.recorded_at), NEW.resource_type, NEW.unit, NEW.amount,
            coalesce(NEW.cost_cad, 0), 1)
    ON CONFLICT (project_id, usage_date, resource_type, unit) DO UPDATE SET
        amount = amount + excluded.amount, cost_cad = cost_cad + excluded.cost_cad,
        transaction_count = transaction_count + 1;
END

-- The task of each execution and those above it, eight in all: a trigger may not look for them by
-- recursion.
CREATE VIEW task_lines AS
SELECT executions.id AS execution_id, line.id AS ancestor_id
FROM executions
    JOIN tasks AS t1 ON t1.id = executions.task_id
    LEFT JOIN tasks AS t2 ON t2.id = t1.parent_task_id
    LEFT JOIN tasks AS t3 ON t3.id = t2.parent_task_id
    LEFT JOIN tasks AS t4 ON t4.id = t3.parent_task_id
    LEFT JOIN tasks AS t5 ON t5.id = t4.parent_task_id
    LEFT JOIN tasks AS t6 ON t6.id = t5.parent_task_id
    LEFT JOIN tasks AS t7 ON t7.id = t6.parent_task_id
    LEFT JOIN tasks AS t8 ON t8.id = t7.parent_task_id
    JOIN tasks AS line ON line.id IN (t1.id, t2.id, t3.id, t4.id, t5.id, t6.id, t7.id, t8.id)

-- Rows of the ledger have a reservation: their amounts were moved by it (decision D2).
CREATE TRIGGER enforce_budget_after_insert AFTER INSERT ON resource_usage
    FOR EACH ROW WHEN NEW.reservation_id IS NULL
BEGIN
    SELECT RAISE(ABORT, 'AV:BUDGET_UNIT_MISMATCH') FROM resource_budgets
    WHERE NEW.enforcement = 'authorise' AND resource_budgets.unit <> NEW.unit
        AND resource_budgets.project_id = NEW.project_id
        AND resource_budgets.resource_type = NEW.resource_type
        AND date(NEW.recorded_at) BETWEEN resource_budgets.period_start AND resource_budgets.period_end
        AND (resource_budgets.task_id IS NULL OR EXISTS (
            SELECT 1 FROM task_lines AS line
            WHERE line.execution_id = NEW.execution_id AND line.ancestor_id = resource_budgets.task_id));
    SELECT RAISE(ABORT, 'AV:BUDGET_EXCEEDED') FROM resource_budgets
    WHERE NEW.enforcement = 'authorise'
        AND resource_budgets.used_amount + resource_budgets.reserved_amount + NEW.amount > resource_budgets.allocated_amount
        AND resource_budgets.project_id = NEW.project_id
        AND resource_budgets.resource_type = NEW.resource_type
        AND date(NEW.recorded_at) BETWEEN resource_budgets.period_start AND resource_budgets.period_end
        AND (resource_budgets.task_id IS NULL OR EXISTS (
            SELECT 1 FROM task_lines AS line
            WHERE line.execution_id = NEW.execution_id AND line.ancestor_id = resource_budgets.task_id));
    UPDATE resource_budgets
    SET used_amount = used_amount + NEW.amount, updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE resource_budgets.unit = NEW.unit
        AND resource_budgets.project_id = NEW.project_id
        AND resource_budgets.resource_type = NEW.resource_type
        AND date(NEW.recorded_at) BETWEEN resource_budgets.period_start AND resource_budgets.period_end
        AND (resource_budgets.task_id IS NULL OR EXISTS (
            SELECT 1 FROM task_lines AS line
            WHERE line.execution_id = NEW.execution_id AND line.ancestor_id = resource_budgets.task_id));
END

-- Checkpoints that nobody has verified yet wait in a queue.
CREATE TRIGGER schedule_checkpoint_verification AFTER INSERT ON checkpoints
    FOR EACH ROW WHEN NEW.verification_status = 'pending'
BEGIN
    INSERT INTO checkpoint_verification_queue (id, checkpoint_id, queued_at)
    VALUES (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2)), NEW.id, strftime('%Y-%m-%d %H:%M:%f000', 'now'));
END

-- Whoever verifies a checkpoint, its place in the queue is done with.
CREATE TRIGGER finish_checkpoint_verification AFTER UPDATE ON checkpoints
    FOR EACH ROW WHEN OLD.verification_status = 'pending' AND NEW.verification_status <> 'pending'
BEGIN
    UPDATE checkpoint_verification_queue
    SET status = CASE NEW.verification_status WHEN 'verified' THEN 'done' ELSE 'failed' END,
        finished_at = strftime('%Y-%m-%d %H:%M:%f000', 'now'), locked_by = NULL
    WHERE checkpoint_id = NEW.id AND status IN ('queued', 'processing');
END

CREATE VIEW mv_project_resource_summary AS
SELECT p.id AS project_id, p.name AS project_name, p.greediness, daily.usage_date,
       daily.resource_type, daily.unit, daily.amount AS total_amount,
       CAST(round(1.0 * daily.amount / daily.transaction_count) AS INTEGER) AS avg_amount,
       daily.cost_cad AS total_cost_cad, daily.transaction_count
FROM projects AS p JOIN resource_usage_daily AS daily ON daily.project_id = p.id
WHERE daily.usage_date >= date('now', '-90 days')

CREATE VIEW project_resource_summary AS SELECT * FROM mv_project_resource_summary

CREATE VIEW mv_machine_performance AS
SELECT machine_type, count(*) AS total_machines,
       count(*) FILTER (WHERE status = 'terminated') AS terminated_machines,
       CAST(round(avg((julianday(terminated_at) - julianday(spawned_at)) * 1440)) AS INTEGER)
           AS avg_runtime_minutes,
       count(*) FILTER (WHERE status = 'terminated' AND error_message IS NULL) AS successful_count,
       CAST(round(10000.0 * count(*) FILTER (WHERE status = 'terminated' AND error_message IS NULL)
           / nullif(count(*) FILTER (WHERE status = 'terminated'), 0)) AS INTEGER)
           AS success_rate_percent,
       CAST(round(1000000 * avg(CASE
               WHEN money GLOB '[0-9]*' AND money NOT GLOB '*[^0-9.]*' AND money NOT GLOB '*.*.*'
                   AND money NOT GLOB '*.' THEN CAST(money AS REAL) END)) AS INTEGER)
           AS avg_money_cost,
       CAST(round(1000000 * avg(CASE
               WHEN api_calls GLOB '[0-9]*' AND api_calls NOT GLOB '*[^0-9]*'
                   THEN CAST(api_calls AS INTEGER) END)) AS INTEGER)
           AS avg_api_calls,
       CAST(round(1000000 * avg(checkpoint_count)) AS INTEGER) AS avg_checkpoints_created
FROM (
    SELECT *, CAST(json_extract(resource_usage, '$.money') AS TEXT) AS money,
           CAST(json_extract(resource_usage, '$.api_calls') AS TEXT) AS api_calls
    FROM intelligent_machines
)
WHERE spawned_at >= date('now', '-30 days') AND machine_type <> 'hub'
GROUP BY machine_type

-- The success rate of all machines here, of those that have ended there: the sources differ.
CREATE VIEW machine_performance_metrics AS
SELECT machine_type, total_machines, avg_runtime_minutes,
       successful_count AS successful_machines,
       CAST(round(10000.0 * successful_count / total_machines) AS INTEGER) AS success_rate_percent,
       avg_money_cost, avg_api_calls, avg_checkpoints_created
FROM mv_machine_performance

-- What a token is for: a password change ends sessions, a token of an e-mail opens nothing else.
ALTER TABLE api_tokens ADD COLUMN kind VARCHAR(20) DEFAULT 'api' NOT NULL CONSTRAINT ck_api_tokens_kind CHECK (kind IN ('api','session','verification','link'))

-- Failed logins of an account, or from an address, and how long the next one is refused.
CREATE TABLE login_throttles (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    throttle_key VARCHAR(300) NOT NULL,
    failures INTEGER NOT NULL,
    last_failed_at DATETIME NOT NULL,
    blocked_until DATETIME,
    CONSTRAINT pk_login_throttles PRIMARY KEY (id),
    CONSTRAINT uq_login_throttles_key UNIQUE (throttle_key)
)

CREATE INDEX idx_login_throttles_time ON login_throttles (last_failed_at)

-- Answers of calls with an idempotency key: a repeat gets the same one.
CREATE TABLE idempotent_replies (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    actor_id VARCHAR(100) NOT NULL,
    idempotency_key VARCHAR(200) NOT NULL,
    operation VARCHAR(200) NOT NULL,
    request_hash CHAR(64) NOT NULL,
    response TEXT NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
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
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    queue_name VARCHAR(50) NOT NULL,
    project_id CHAR(32) NOT NULL,
    last_fair_key DOUBLE DEFAULT '0' NOT NULL,
    max_running INTEGER,
    CONSTRAINT pk_queue_shares PRIMARY KEY (id),
    CONSTRAINT ck_queue_shares_max_running CHECK (max_running IS NULL OR max_running > 0),
    CONSTRAINT uq_queue_shares UNIQUE (queue_name, project_id),
    CONSTRAINT fk_queue_shares_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
)

CREATE INDEX idx_queue_shares_project ON queue_shares (project_id)

-- Four holds are written per call. One tree instead of four, and no keys to look up: the statement
-- that writes the holds writes the call, too. The holds of a call are deleted with it; they outlive
-- their budgets.
ALTER TABLE budget_holds RENAME TO holds_with_ids

CREATE TABLE budget_holds (
    reservation_id CHAR(32) NOT NULL,
    budget_id CHAR(32) NOT NULL,
    resource_type VARCHAR(50) NOT NULL,
    amount BIGINT NOT NULL,
    settled_amount BIGINT,
    CONSTRAINT pk_budget_holds PRIMARY KEY (reservation_id, budget_id),
    CONSTRAINT ck_budget_holds_resource_type CHECK (resource_type IN ('money','time','api_calls','cpu','memory','storage','network')),
    CONSTRAINT ck_budget_holds_amounts CHECK (amount >= 0 AND (settled_amount IS NULL OR settled_amount >= 0))
) WITHOUT ROWID

INSERT INTO budget_holds
SELECT reservation_id, budget_id, resource_type, amount, settled_amount FROM holds_with_ids

DROP TABLE holds_with_ids

CREATE TRIGGER delete_holds_after_call AFTER DELETE ON budget_reservations
BEGIN
    DELETE FROM budget_holds WHERE reservation_id = OLD.id;
END

-- When the used-up quota of a provider's key resets: all processes wait for it.
CREATE TABLE provider_pauses (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    opens_at DATETIME NOT NULL,
    CONSTRAINT pk_provider_pauses PRIMARY KEY (id)
)
