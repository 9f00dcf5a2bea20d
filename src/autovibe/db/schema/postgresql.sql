-- The schema as the migrations make it; a test compares. Statements are parted by blank
-- lines. Written by `python -m autovibe.testing.schema_dump`; do not edit.

CREATE FUNCTION public.add_usage_to_daily() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
$$;

CREATE FUNCTION public.checkpoints_immutable() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (NEW.creating_machine_id IS DISTINCT FROM OLD.creating_machine_id
            AND NEW.creating_machine_id IS NOT NULL)
        OR (NEW.pruned_at IS DISTINCT FROM OLD.pruned_at AND OLD.pruned_at IS NOT NULL)
        OR (to_jsonb(NEW) - 'creating_machine_id' - 'pruned_at')
            IS DISTINCT FROM (to_jsonb(OLD) - 'creating_machine_id' - 'pruned_at')
    THEN
        RAISE EXCEPTION 'AV:CHECKPOINT_IMMUTABLE' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION public.cleanup_old_resource_usage(before timestamp with time zone DEFAULT (now() - '1 year'::interval)) RETURNS bigint
    LANGUAGE plpgsql
    AS $_$
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
$_$;

CREATE FUNCTION public.create_monthly_partition(table_name text, start_date date) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
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
$$;

CREATE FUNCTION public.delete_holds_of_calls() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM budget_holds USING gone WHERE budget_holds.reservation_id = gone.id;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.enforce_resource_budget() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
$$;

CREATE FUNCTION public.finish_checkpoint_verification() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE checkpoint_verification_queue
    SET status = CASE NEW.verification_status WHEN 'verified' THEN 'done' ELSE 'failed' END,
        finished_at = now(), locked_by = NULL
    WHERE checkpoint_id = NEW.id AND status IN ('queued', 'processing');
    RETURN NULL;
END
$$;

CREATE FUNCTION public.queue_checkpoint_verification() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify('checkpoint_verification',
        json_build_object('checkpoint_id', NEW.id, 'created_at', NEW.created_at)::text);
    RETURN NULL;
END
$$;

CREATE FUNCTION public.set_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
        NEW.updated_at = now();
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION public.verify_checkpoint_integrity() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO checkpoint_verification_queue (checkpoint_id) VALUES (NEW.id);
    RETURN NULL;
END
$$;

CREATE TABLE public.agent_executions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    execution_id character varying(100) NOT NULL,
    task_execution_id uuid,
    machine_id uuid,
    agent_name character varying(100) NOT NULL,
    prompt text NOT NULL,
    status character varying(50) DEFAULT 'running'::character varying NOT NULL,
    result jsonb,
    tokens_used integer,
    duration_ms integer,
    completed_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_agent_executions_status CHECK (((status)::text = ANY ((ARRAY['running'::character varying, 'completed'::character varying, 'failed'::character varying])::text[])))
);

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.api_tokens (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid,
    machine_id uuid,
    worker_id uuid,
    name character varying(255) NOT NULL,
    token_hash character(64) NOT NULL,
    scopes jsonb DEFAULT '[]'::jsonb NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    kind character varying(20) DEFAULT 'api'::character varying NOT NULL,
    CONSTRAINT ck_api_tokens_kind CHECK (((kind)::text = ANY ((ARRAY['api'::character varying, 'session'::character varying, 'verification'::character varying, 'link'::character varying])::text[]))),
    CONSTRAINT ck_api_tokens_one_owner CHECK ((((user_id IS NULL) OR (machine_id IS NULL)) AND ((user_id IS NULL) OR (worker_id IS NULL)) AND ((machine_id IS NULL) OR (worker_id IS NULL))))
);

CREATE TABLE public.approval_requests (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    task_id uuid,
    execution_id uuid,
    machine_id uuid,
    conversation_id uuid,
    kind character varying(20) NOT NULL,
    title character varying(255) NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    options jsonb DEFAULT '[]'::jsonb NOT NULL,
    default_answer character varying(255),
    deadline_at timestamp with time zone,
    status character varying(20) DEFAULT 'open'::character varying NOT NULL,
    answer jsonb,
    answered_by uuid,
    answered_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_approval_requests_answered CHECK ((((status)::text = 'answered'::text) = (answered_at IS NOT NULL))),
    CONSTRAINT ck_approval_requests_kind CHECK (((kind)::text = ANY ((ARRAY['start'::character varying, 'tool_use'::character varying, 'question'::character varying, 'apply'::character varying, 'budget'::character varying])::text[]))),
    CONSTRAINT ck_approval_requests_status CHECK (((status)::text = ANY ((ARRAY['open'::character varying, 'answered'::character varying, 'expired'::character varying, 'cancelled'::character varying])::text[])))
);

CREATE TABLE public.audit_log (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    actor_type character varying(20) NOT NULL,
    actor_id character varying(100) NOT NULL,
    operation character varying(200) NOT NULL,
    resource_type character varying(50),
    resource_id character varying(100),
    outcome character varying(20) NOT NULL,
    reason character varying(100),
    request_id character varying(100),
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT ck_audit_log_outcome CHECK (((outcome)::text = ANY ((ARRAY['ok'::character varying, 'refused'::character varying, 'failed'::character varying])::text[])))
);

ALTER TABLE public.audit_log ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.audit_seals (
    id bigint NOT NULL,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    rows_hash character(64) NOT NULL,
    prev_hash character(64) NOT NULL,
    hash character(64) NOT NULL,
    sealed_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.audit_seals ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.audit_seals_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.budget_holds (
    reservation_id uuid NOT NULL,
    budget_id uuid NOT NULL,
    resource_type character varying(50) NOT NULL,
    amount numeric(15,6) NOT NULL,
    settled_amount numeric(15,6),
    CONSTRAINT ck_budget_holds_amounts CHECK (((amount >= (0)::numeric) AND ((settled_amount IS NULL) OR (settled_amount >= (0)::numeric)))),
    CONSTRAINT ck_budget_holds_resource_type CHECK (((resource_type)::text = ANY ((ARRAY['money'::character varying, 'time'::character varying, 'api_calls'::character varying, 'cpu'::character varying, 'memory'::character varying, 'storage'::character varying, 'network'::character varying])::text[])))
)
WITH (fillfactor='60');

CREATE TABLE public.budget_reservations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    project_id uuid NOT NULL,
    task_id uuid,
    machine_id uuid,
    execution_id uuid,
    lease_generation integer DEFAULT 0 NOT NULL,
    instance_id uuid NOT NULL,
    state character varying(20) DEFAULT 'reserved'::character varying NOT NULL,
    idempotency_key character varying(200) NOT NULL,
    reserved_at timestamp with time zone DEFAULT now() NOT NULL,
    forwarded_at timestamp with time zone,
    finished_at timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT ck_budget_reservations_state CHECK (((state)::text = ANY ((ARRAY['reserved'::character varying, 'forwarded'::character varying, 'settled'::character varying, 'released'::character varying, 'expired'::character varying, 'uncertain'::character varying])::text[])))
);

CREATE TABLE public.chat_attachments (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    message_id uuid NOT NULL,
    file_name character varying(255) NOT NULL,
    file_path character varying(500) NOT NULL,
    file_type character varying(50),
    file_size_bytes bigint,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.chat_conversations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    title character varying(255),
    project_id uuid,
    task_id uuid,
    created_by uuid,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.chat_messages (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    conversation_id uuid NOT NULL,
    sender_type character varying(10) NOT NULL,
    sender_id uuid,
    message text NOT NULL,
    message_type character varying(20) DEFAULT 'text'::character varying NOT NULL,
    parent_message_id uuid,
    edited_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_chat_messages_sender_type CHECK (((sender_type)::text = ANY ((ARRAY['user'::character varying, 'worker'::character varying, 'system'::character varying, 'controller'::character varying])::text[]))),
    CONSTRAINT ck_chat_messages_type CHECK (((message_type)::text = ANY ((ARRAY['text'::character varying, 'question'::character varying, 'response'::character varying, 'status'::character varying, 'error'::character varying])::text[])))
);

CREATE TABLE public.checkpoint_verification_queue (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    checkpoint_id uuid NOT NULL,
    queued_at timestamp with time zone DEFAULT now() NOT NULL,
    status character varying(20) DEFAULT 'queued'::character varying NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    locked_by character varying(100),
    locked_at timestamp with time zone,
    finished_at timestamp with time zone,
    last_error text,
    CONSTRAINT ck_verification_queue_status CHECK (((status)::text = ANY ((ARRAY['queued'::character varying, 'processing'::character varying, 'done'::character varying, 'failed'::character varying])::text[])))
);

CREATE TABLE public.checkpoints (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    project_id uuid NOT NULL,
    parent_checkpoint_id uuid,
    creating_machine_id uuid,
    checkpoint_type character varying(50) NOT NULL,
    depth integer DEFAULT 0 NOT NULL,
    jump_checkpoint_id uuid,
    jump_depth integer,
    hypervisor character varying(30),
    proxmox_snapshot_id character varying(255),
    vm_id character varying(100),
    manifest_root character(64),
    manifest_file_count bigint,
    file_manifest jsonb DEFAULT '{}'::jsonb NOT NULL,
    description text,
    creation_context text,
    size_bytes bigint,
    stored_bytes bigint,
    compression_ratio numeric(8,4),
    agent_session_id character varying(200),
    last_settled_call_id uuid,
    consistency character varying(30) DEFAULT 'exact'::character varying NOT NULL,
    verification_status character varying(50) DEFAULT 'pending'::character varying NOT NULL,
    verified_at timestamp with time zone,
    pruned_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_checkpoints_consistency CHECK (((consistency)::text = ANY ((ARRAY['exact'::character varying, 'fuzzy_tree'::character varying, 'conversation_behind'::character varying])::text[]))),
    CONSTRAINT ck_checkpoints_type CHECK (((checkpoint_type)::text = ANY ((ARRAY['genesis'::character varying, 'automatic'::character varying, 'manual'::character varying, 'final'::character varying, 'hub_daily'::character varying])::text[]))),
    CONSTRAINT ck_checkpoints_verification_status CHECK (((verification_status)::text = ANY ((ARRAY['pending'::character varying, 'verifying'::character varying, 'verified'::character varying, 'failed'::character varying])::text[]))),
    CONSTRAINT ck_checkpoints_verified_has_time CHECK ((((verification_status)::text <> 'verified'::text) OR (verified_at IS NOT NULL))),
    CONSTRAINT valid_verification_time CHECK (((verified_at IS NULL) OR (verified_at >= created_at)))
);

CREATE TABLE public.context_document_versions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    document_id uuid NOT NULL,
    version integer NOT NULL,
    title character varying(255) NOT NULL,
    content text NOT NULL,
    tags character varying(50)[] DEFAULT '{}'::character varying[] NOT NULL,
    created_by uuid,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.context_documents (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    project_id uuid,
    title character varying(255) NOT NULL,
    document_type character varying(50) NOT NULL,
    content text NOT NULL,
    repository_url character varying(500),
    tags character varying(50)[] DEFAULT '{}'::character varying[] NOT NULL,
    created_by uuid,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_context_documents_type CHECK (((document_type)::text = ANY ((ARRAY['design'::character varying, 'plan'::character varying, 'specification'::character varying, 'guide'::character varying, 'reference'::character varying])::text[]))),
    CONSTRAINT ck_context_documents_version CHECK ((version >= 1))
);

CREATE TABLE public.exchange_rates (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    currency character varying(3) NOT NULL,
    rate_to_cad numeric(18,8) NOT NULL,
    valid_from timestamp with time zone NOT NULL,
    source character varying(100) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_exchange_rates_rate CHECK ((rate_to_cad > (0)::numeric))
);

CREATE TABLE public.execution_logs (
    id bigint NOT NULL,
    execution_id uuid NOT NULL,
    seq bigint NOT NULL,
    level character varying(10) NOT NULL,
    message text NOT NULL,
    logged_at timestamp with time zone DEFAULT now() NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT ck_execution_logs_level CHECK (((level)::text = ANY ((ARRAY['DEBUG'::character varying, 'INFO'::character varying, 'WARNING'::character varying, 'ERROR'::character varying, 'CRITICAL'::character varying])::text[])))
);

ALTER TABLE public.execution_logs ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.execution_logs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.executions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    task_id uuid NOT NULL,
    worker_id uuid NOT NULL,
    work_order_id uuid,
    machine_id uuid,
    result_checkpoint_id uuid,
    lease_generation integer DEFAULT 0 NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    correlation_id character varying(64) NOT NULL,
    status character varying(20) DEFAULT 'running'::character varying NOT NULL,
    exit_code integer,
    stdout_log text,
    stderr_log text,
    metrics jsonb DEFAULT '{}'::jsonb NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    duration_seconds integer,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_executions_duration CHECK (((duration_seconds IS NULL) OR (duration_seconds >= 0))),
    CONSTRAINT ck_executions_status CHECK (((status)::text = ANY ((ARRAY['running'::character varying, 'completed'::character varying, 'failed'::character varying, 'timeout'::character varying, 'cancelled'::character varying])::text[])))
);

CREATE TABLE public.hub_checkpoints (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    hub_id uuid NOT NULL,
    checkpoint_type character varying(50) NOT NULL,
    proxmox_snapshot_id character varying(200) NOT NULL,
    trigger_reason character varying(200),
    system_metrics jsonb,
    active_machines integer DEFAULT 0 NOT NULL,
    active_projects integer DEFAULT 0 NOT NULL,
    checkpoint_size_gb numeric(10,3),
    verification_status character varying(50) DEFAULT 'pending'::character varying NOT NULL,
    verified_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_hub_checkpoints_status CHECK (((verification_status)::text = ANY ((ARRAY['pending'::character varying, 'verifying'::character varying, 'verified'::character varying, 'failed'::character varying])::text[]))),
    CONSTRAINT ck_hub_checkpoints_time CHECK (((verified_at IS NULL) OR (verified_at >= created_at))),
    CONSTRAINT ck_hub_checkpoints_type CHECK (((checkpoint_type)::text = ANY ((ARRAY['daily'::character varying, 'manual'::character varying, 'pre_experiment'::character varying, 'recovery'::character varying])::text[])))
);

CREATE TABLE public.hub_experiments (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name character varying(200) NOT NULL,
    description text,
    base_checkpoint_id uuid NOT NULL,
    original_hub_id uuid NOT NULL,
    experimental_hub_id uuid,
    configuration_changes jsonb NOT NULL,
    success_metrics jsonb,
    performance_data jsonb,
    status character varying(50) DEFAULT 'planned'::character varying NOT NULL,
    duration_days integer DEFAULT 14 NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    result character varying(50),
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_hub_experiments_days CHECK ((duration_days > 0)),
    CONSTRAINT ck_hub_experiments_result CHECK (((result IS NULL) OR ((result)::text = ANY ((ARRAY['experimental_wins'::character varying, 'original_wins'::character varying, 'inconclusive'::character varying])::text[])))),
    CONSTRAINT ck_hub_experiments_status CHECK (((status)::text = ANY ((ARRAY['planned'::character varying, 'running'::character varying, 'completed'::character varying, 'failed'::character varying])::text[])))
);

CREATE TABLE public.hub_instances (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    machine_id uuid,
    type character varying(50) NOT NULL,
    status character varying(50) NOT NULL,
    hypervisor character varying(30) DEFAULT 'proxmox'::character varying NOT NULL,
    vm_id character varying(100) NOT NULL,
    vm_node character varying(100),
    version character varying(50),
    configuration jsonb DEFAULT '{}'::jsonb NOT NULL,
    parent_hub_id uuid,
    experiment_id uuid,
    spawned_at timestamp with time zone DEFAULT now() NOT NULL,
    last_checkpoint_at timestamp with time zone,
    terminated_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_hub_instances_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'inactive'::character varying, 'experimental'::character varying, 'retiring'::character varying])::text[]))),
    CONSTRAINT ck_hub_instances_type CHECK (((type)::text = ANY ((ARRAY['primary'::character varying, 'development'::character varying, 'experimental'::character varying, 'domain_specific'::character varying])::text[])))
);

CREATE TABLE public.idempotent_replies (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    actor_id character varying(100) NOT NULL,
    idempotency_key character varying(200) NOT NULL,
    operation character varying(200) NOT NULL,
    request_hash character(64) NOT NULL,
    response text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.instances (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    host character varying(255) NOT NULL,
    boot_id character varying(64) NOT NULL,
    pid integer NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    heartbeat_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.intelligent_machines (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    machine_type character varying(50) NOT NULL,
    status character varying(50) DEFAULT 'spawning'::character varying NOT NULL,
    project_id uuid,
    parent_checkpoint_id uuid,
    last_checkpoint_id uuid,
    spawned_by_hub_id uuid,
    parent_machine_id uuid,
    worker_id uuid,
    hypervisor character varying(30) DEFAULT 'proxmox'::character varying NOT NULL,
    vm_id character varying(100),
    vm_node character varying(100),
    hub_vm_id character varying(100),
    original_prompt text,
    file_modifications jsonb DEFAULT '{}'::jsonb NOT NULL,
    resource_constraints jsonb DEFAULT '{}'::jsonb NOT NULL,
    resource_usage jsonb DEFAULT '{}'::jsonb NOT NULL,
    current_progress text,
    error_message text,
    checkpoint_count integer DEFAULT 0 NOT NULL,
    spawned_at timestamp with time zone DEFAULT now() NOT NULL,
    terminated_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_machines_checkpoint_count CHECK ((checkpoint_count >= 0)),
    CONSTRAINT ck_machines_project_required CHECK ((((machine_type)::text = 'hub'::text) OR (project_id IS NOT NULL))),
    CONSTRAINT ck_machines_terminated_after_spawned CHECK (((terminated_at IS NULL) OR (terminated_at > spawned_at))),
    CONSTRAINT valid_status_values CHECK (((status)::text = ANY ((ARRAY['spawning'::character varying, 'active'::character varying, 'working'::character varying, 'checkpointing'::character varying, 'terminated'::character varying, 'error'::character varying])::text[])))
);

CREATE TABLE public.llm_round_table_results (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    result_id character varying(100) NOT NULL,
    prompt text,
    task_category character varying(100),
    winner_provider character varying(50),
    winner_response text,
    participants jsonb NOT NULL,
    task_execution_id uuid,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.login_throttles (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    throttle_key character varying(300) NOT NULL,
    failures integer NOT NULL,
    last_failed_at timestamp with time zone NOT NULL,
    blocked_until timestamp with time zone
);

CREATE TABLE public.machine_messages (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    sender_machine_id uuid,
    recipient_machine_id uuid NOT NULL,
    message_type character varying(200) NOT NULL,
    payload jsonb NOT NULL,
    correlation_id character varying(64),
    status character varying(20) DEFAULT 'queued'::character varying NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    enqueued_at timestamp with time zone DEFAULT now() NOT NULL,
    delivered_at timestamp with time zone,
    processed_at timestamp with time zone,
    expires_at timestamp with time zone,
    error_message text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT ck_machine_messages_status CHECK (((status)::text = ANY ((ARRAY['queued'::character varying, 'delivered'::character varying, 'processed'::character varying, 'failed'::character varying, 'dead'::character varying])::text[])))
);

CREATE MATERIALIZED VIEW public.mv_machine_performance AS
 SELECT machine_type,
    count(*) AS total_machines,
    count(*) FILTER (WHERE ((status)::text = 'terminated'::text)) AS terminated_machines,
    (round(avg((EXTRACT(epoch FROM (terminated_at - spawned_at)) / (60)::numeric))))::integer AS avg_runtime_minutes,
    count(*) FILTER (WHERE (((status)::text = 'terminated'::text) AND (error_message IS NULL))) AS successful_count,
    round(((100.0 * (count(*) FILTER (WHERE (((status)::text = 'terminated'::text) AND (error_message IS NULL))))::numeric) / (NULLIF(count(*) FILTER (WHERE ((status)::text = 'terminated'::text)), 0))::numeric), 2) AS success_rate_percent,
    round(avg(
        CASE
            WHEN ((resource_usage ->> 'money'::text) ~ '^[0-9]+([.][0-9]+)?$'::text) THEN ((resource_usage ->> 'money'::text))::numeric
            ELSE NULL::numeric
        END), 6) AS avg_money_cost,
    round(avg(
        CASE
            WHEN ((resource_usage ->> 'api_calls'::text) ~ '^[0-9]+$'::text) THEN ((resource_usage ->> 'api_calls'::text))::numeric
            ELSE NULL::numeric
        END), 6) AS avg_api_calls,
    round(avg(checkpoint_count), 6) AS avg_checkpoints_created
   FROM public.intelligent_machines
  WHERE ((spawned_at >= (((now() AT TIME ZONE 'UTC'::text))::date - 30)) AND ((machine_type)::text <> 'hub'::text))
  GROUP BY machine_type
  WITH NO DATA;

CREATE VIEW public.machine_performance_metrics AS
 SELECT machine_type,
    total_machines,
    avg_runtime_minutes,
    successful_count AS successful_machines,
    round(((100.0 * (successful_count)::numeric) / (total_machines)::numeric), 2) AS success_rate_percent,
    avg_money_cost,
    avg_api_calls,
    avg_checkpoints_created
   FROM public.mv_machine_performance;

CREATE TABLE public.maintenance_log (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    operation character varying(100) NOT NULL,
    affected_rows bigint DEFAULT '0'::bigint NOT NULL,
    performed_at timestamp with time zone DEFAULT now() NOT NULL,
    status character varying(20) DEFAULT 'success'::character varying NOT NULL,
    duration_ms integer,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT ck_maintenance_log_status CHECK (((status)::text = ANY ((ARRAY['success'::character varying, 'failed'::character varying])::text[])))
);

CREATE TABLE public.projects (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name character varying(255) NOT NULL,
    description text,
    greediness numeric(3,2) NOT NULL,
    status character varying(50) DEFAULT 'active'::character varying NOT NULL,
    initial_checkpoint_id uuid,
    current_checkpoint_id uuid,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_projects_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'inactive'::character varying, 'archived'::character varying])::text[]))),
    CONSTRAINT valid_greediness_range CHECK (((greediness >= 0.0) AND (greediness <= 1.0)))
);

CREATE TABLE public.resource_usage_daily (
    project_id uuid NOT NULL,
    usage_date date NOT NULL,
    resource_type character varying(50) NOT NULL,
    unit character varying(20) NOT NULL,
    amount numeric(20,6) NOT NULL,
    cost_cad numeric(20,6) DEFAULT '0'::numeric NOT NULL,
    transaction_count bigint NOT NULL,
    CONSTRAINT ck_resource_usage_daily_type CHECK (((resource_type)::text = ANY ((ARRAY['money'::character varying, 'time'::character varying, 'api_calls'::character varying, 'cpu'::character varying, 'memory'::character varying, 'storage'::character varying, 'network'::character varying])::text[])))
);

CREATE MATERIALIZED VIEW public.mv_project_resource_summary AS
 SELECT p.id AS project_id,
    p.name AS project_name,
    p.greediness,
    daily.usage_date,
    daily.resource_type,
    daily.unit,
    daily.amount AS total_amount,
    round((daily.amount / (daily.transaction_count)::numeric), 6) AS avg_amount,
    daily.cost_cad AS total_cost_cad,
    daily.transaction_count
   FROM (public.projects p
     JOIN public.resource_usage_daily daily ON ((daily.project_id = p.id)))
  WHERE (daily.usage_date >= (((now() AT TIME ZONE 'UTC'::text))::date - 90))
  WITH NO DATA;

CREATE TABLE public.orders (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    order_number character varying(50) NOT NULL,
    user_id uuid,
    status character varying(50) DEFAULT 'pending'::character varying NOT NULL,
    total_price numeric(10,2) NOT NULL,
    subtotal numeric(10,2) NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_orders_amounts CHECK (((subtotal >= (0)::numeric) AND (total_price >= (0)::numeric))),
    CONSTRAINT ck_orders_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'processing'::character varying, 'completed'::character varying, 'cancelled'::character varying])::text[])))
);

CREATE TABLE public.outbox_events (
    id bigint NOT NULL,
    topic character varying(100) NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    relayed_at timestamp with time zone
);

ALTER TABLE public.outbox_events ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.outbox_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.products (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    sku character varying(100) NOT NULL,
    name character varying(500) NOT NULL,
    description text,
    category character varying(100),
    price numeric(10,2) NOT NULL,
    inventory_quantity integer DEFAULT 0 NOT NULL,
    status character varying(50) DEFAULT 'draft'::character varying NOT NULL,
    tags text[],
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_products_amounts CHECK (((price >= (0)::numeric) AND (inventory_quantity >= 0))),
    CONSTRAINT ck_products_status CHECK (((status)::text = ANY ((ARRAY['draft'::character varying, 'published'::character varying, 'archived'::character varying])::text[])))
);

CREATE TABLE public.project_members (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    project_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role character varying(20) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_project_members_role CHECK (((role)::text = ANY ((ARRAY['admin'::character varying, 'developer'::character varying, 'viewer'::character varying])::text[])))
);

CREATE VIEW public.project_resource_summary AS
 SELECT project_id,
    project_name,
    greediness,
    usage_date,
    resource_type,
    unit,
    total_amount,
    avg_amount,
    total_cost_cad,
    transaction_count
   FROM public.mv_project_resource_summary;

CREATE TABLE public.provider_pauses (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    opens_at timestamp with time zone NOT NULL
);

CREATE TABLE public.queue_shares (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    queue_name character varying(50) NOT NULL,
    project_id uuid NOT NULL,
    last_fair_key double precision DEFAULT '0'::double precision NOT NULL,
    max_running integer,
    CONSTRAINT ck_queue_shares_max_running CHECK (((max_running IS NULL) OR (max_running > 0)))
);

CREATE TABLE public.rag_documents (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    document_id character varying(100) NOT NULL,
    parent_document_id character varying(100),
    context_document_id uuid,
    source_path character varying(500),
    content text NOT NULL,
    content_hash character(64) NOT NULL,
    chunk_index integer,
    total_chunks integer,
    embedding_model character varying(100),
    embedding real[],
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_rag_documents_chunks CHECK (((chunk_index IS NULL) OR (total_chunks IS NULL) OR ((chunk_index >= 0) AND (chunk_index < total_chunks))))
);

CREATE TABLE public.resource_budgets (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    project_id uuid NOT NULL,
    task_id uuid,
    resource_type character varying(50) NOT NULL,
    budget_period character varying(50) NOT NULL,
    period_start date NOT NULL,
    period_end date NOT NULL,
    allocated_amount numeric(15,6) NOT NULL,
    used_amount numeric(15,6) DEFAULT '0'::numeric NOT NULL,
    reserved_amount numeric(15,6) DEFAULT '0'::numeric NOT NULL,
    unit character varying(20) NOT NULL,
    auto_reset boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_budgets_amounts CHECK (((allocated_amount >= (0)::numeric) AND (used_amount >= (0)::numeric) AND (reserved_amount >= (0)::numeric))),
    CONSTRAINT ck_budgets_dates CHECK ((period_end >= period_start)),
    CONSTRAINT ck_budgets_period CHECK (((budget_period)::text = ANY ((ARRAY['daily'::character varying, 'weekly'::character varying, 'monthly'::character varying, 'total'::character varying])::text[]))),
    CONSTRAINT ck_budgets_resource_type CHECK (((resource_type)::text = ANY ((ARRAY['money'::character varying, 'time'::character varying, 'api_calls'::character varying, 'cpu'::character varying, 'memory'::character varying, 'storage'::character varying, 'network'::character varying])::text[])))
)
WITH (fillfactor='20');

CREATE TABLE public.resource_usage (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL,
    project_id uuid NOT NULL,
    machine_id uuid,
    execution_id uuid,
    reservation_id uuid,
    resource_type character varying(50) NOT NULL,
    resource_subtype character varying(100),
    amount numeric(15,6) NOT NULL,
    unit character varying(20) NOT NULL,
    cost_cad numeric(15,6),
    enforcement character varying(20) DEFAULT 'authorise'::character varying NOT NULL,
    billing_period_start date,
    billing_period_end date,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT ck_resource_usage_enforcement CHECK (((enforcement)::text = ANY ((ARRAY['authorise'::character varying, 'record'::character varying])::text[]))),
    CONSTRAINT ck_resource_usage_type CHECK (((resource_type)::text = ANY ((ARRAY['money'::character varying, 'time'::character varying, 'api_calls'::character varying, 'cpu'::character varying, 'memory'::character varying, 'storage'::character varying, 'network'::character varying])::text[]))),
    CONSTRAINT positive_resource_amount CHECK ((amount > (0)::numeric))
)
PARTITION BY RANGE (recorded_at);

CREATE TABLE public.resource_usage_default (
    id uuid DEFAULT gen_random_uuid() CONSTRAINT resource_usage_id_not_null NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() CONSTRAINT resource_usage_recorded_at_not_null NOT NULL,
    project_id uuid CONSTRAINT resource_usage_project_id_not_null NOT NULL,
    machine_id uuid,
    execution_id uuid,
    reservation_id uuid,
    resource_type character varying(50) CONSTRAINT resource_usage_resource_type_not_null NOT NULL,
    resource_subtype character varying(100),
    amount numeric(15,6) CONSTRAINT resource_usage_amount_not_null NOT NULL,
    unit character varying(20) CONSTRAINT resource_usage_unit_not_null NOT NULL,
    cost_cad numeric(15,6),
    enforcement character varying(20) DEFAULT 'authorise'::character varying CONSTRAINT resource_usage_enforcement_not_null NOT NULL,
    billing_period_start date,
    billing_period_end date,
    metadata jsonb DEFAULT '{}'::jsonb CONSTRAINT resource_usage_metadata_not_null NOT NULL,
    CONSTRAINT ck_resource_usage_enforcement CHECK (((enforcement)::text = ANY ((ARRAY['authorise'::character varying, 'record'::character varying])::text[]))),
    CONSTRAINT ck_resource_usage_type CHECK (((resource_type)::text = ANY ((ARRAY['money'::character varying, 'time'::character varying, 'api_calls'::character varying, 'cpu'::character varying, 'memory'::character varying, 'storage'::character varying, 'network'::character varying])::text[]))),
    CONSTRAINT positive_resource_amount CHECK ((amount > (0)::numeric))
);

CREATE TABLE public.task_dependencies (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    task_id uuid NOT NULL,
    depends_on_task_id uuid NOT NULL,
    dependency_type character varying(20) DEFAULT 'blocks'::character varying NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_task_dependencies_self CHECK ((task_id <> depends_on_task_id)),
    CONSTRAINT ck_task_dependencies_type CHECK (((dependency_type)::text = ANY ((ARRAY['blocks'::character varying, 'related'::character varying, 'duplicate'::character varying])::text[])))
);

CREATE TABLE public.tasks (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    project_id uuid,
    title character varying(255) NOT NULL,
    description text,
    task_type character varying(20) NOT NULL,
    permission_level character varying(20) NOT NULL,
    priority character varying(10) DEFAULT 'normal'::character varying NOT NULL,
    status character varying(20) DEFAULT 'pending'::character varying NOT NULL,
    block_reason character varying(50),
    repository_url character varying(500),
    branch_name character varying(255),
    issue_number integer,
    pr_number integer,
    context jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_by uuid,
    assigned_to uuid,
    parent_task_id uuid,
    base_checkpoint_id uuid,
    result_checkpoint_id uuid,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    deleted_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_tasks_permission CHECK (((permission_level)::text = ANY ((ARRAY['autonomous'::character varying, 'supervised'::character varying, 'human_required'::character varying])::text[]))),
    CONSTRAINT ck_tasks_priority CHECK (((priority)::text = ANY ((ARRAY['low'::character varying, 'normal'::character varying, 'high'::character varying, 'critical'::character varying])::text[]))),
    CONSTRAINT ck_tasks_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'queued'::character varying, 'in_progress'::character varying, 'blocked'::character varying, 'completed'::character varying, 'failed'::character varying, 'cancelled'::character varying])::text[]))),
    CONSTRAINT ck_tasks_type CHECK (((task_type)::text = ANY ((ARRAY['feature'::character varying, 'bugfix'::character varying, 'test'::character varying, 'docs'::character varying, 'refactor'::character varying, 'review'::character varying])::text[])))
);

CREATE TABLE public.tool_executions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    correlation_id character varying(64) NOT NULL,
    tool_name character varying(128) NOT NULL,
    agent_id character varying(100),
    agent_execution_id uuid,
    user_id uuid,
    inputs jsonb NOT NULL,
    outputs jsonb,
    status character varying(50) DEFAULT 'running'::character varying NOT NULL,
    error_message text,
    duration_ms integer,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_tool_executions_status CHECK (((status)::text = ANY ((ARRAY['running'::character varying, 'success'::character varying, 'failed'::character varying, 'timeout'::character varying])::text[])))
);

CREATE TABLE public.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    username character varying(50) NOT NULL,
    email character varying(255) NOT NULL,
    hashed_password character varying(255) NOT NULL,
    full_name character varying(255),
    role character varying(20) NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    is_verified boolean DEFAULT false NOT NULL,
    is_service_account boolean DEFAULT false NOT NULL,
    last_login_at timestamp with time zone,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    deleted_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_users_role CHECK (((role)::text = ANY ((ARRAY['admin'::character varying, 'developer'::character varying, 'viewer'::character varying])::text[])))
);

CREATE TABLE public.work_orders (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    task_id uuid NOT NULL,
    queue_name character varying(50) NOT NULL,
    status character varying(20) DEFAULT 'pending'::character varying NOT NULL,
    priority smallint DEFAULT '0'::smallint NOT NULL,
    fair_key double precision DEFAULT '0'::double precision NOT NULL,
    worker_type character varying(20),
    required_capabilities jsonb DEFAULT '[]'::jsonb NOT NULL,
    payload jsonb NOT NULL,
    result jsonb,
    error_message text,
    retry_count integer DEFAULT 0 NOT NULL,
    max_retries integer DEFAULT 3 NOT NULL,
    timeout_seconds integer DEFAULT 3600 NOT NULL,
    lease_generation integer DEFAULT 0 NOT NULL,
    lease_expires_at timestamp with time zone,
    enqueued_at timestamp with time zone DEFAULT now() NOT NULL,
    available_at timestamp with time zone DEFAULT now() NOT NULL,
    claimed_at timestamp with time zone,
    completed_at timestamp with time zone,
    expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    route character varying(2000) DEFAULT '*|*|*|'::character varying NOT NULL,
    CONSTRAINT ck_work_orders_retries CHECK (((retry_count >= 0) AND (max_retries >= 0))),
    CONSTRAINT ck_work_orders_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'claimed'::character varying, 'completed'::character varying, 'failed'::character varying, 'expired'::character varying])::text[]))),
    CONSTRAINT ck_work_orders_worker_type CHECK (((worker_type)::text = ANY ((ARRAY['feature'::character varying, 'bugfix'::character varying, 'test'::character varying, 'docs'::character varying, 'refactor'::character varying, 'review'::character varying])::text[])))
);

CREATE TABLE public.worker_assignments (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    worker_id uuid NOT NULL,
    work_order_id uuid NOT NULL,
    machine_id uuid,
    lease_generation integer DEFAULT 0 NOT NULL,
    status character varying(20) DEFAULT 'active'::character varying NOT NULL,
    assigned_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_worker_assignments_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'completed'::character varying, 'failed'::character varying, 'timeout'::character varying])::text[])))
);

CREATE TABLE public.worker_capabilities (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    worker_id uuid NOT NULL,
    capability_name character varying(100) NOT NULL,
    capability_level character varying(20) DEFAULT 'intermediate'::character varying NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_worker_capabilities_level CHECK (((capability_level)::text = ANY ((ARRAY['beginner'::character varying, 'intermediate'::character varying, 'advanced'::character varying, 'expert'::character varying])::text[])))
);

CREATE TABLE public.workers (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name character varying(100) NOT NULL,
    worker_type character varying(20) NOT NULL,
    status character varying(20) NOT NULL,
    version character varying(50),
    max_concurrent_tasks integer DEFAULT 1 NOT NULL,
    timeout_seconds integer DEFAULT 3600 NOT NULL,
    context_window_size integer DEFAULT 200000 NOT NULL,
    config jsonb DEFAULT '{}'::jsonb NOT NULL,
    capabilities jsonb DEFAULT '[]'::jsonb NOT NULL,
    last_heartbeat_at timestamp with time zone,
    deleted_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_workers_limits CHECK (((max_concurrent_tasks > 0) AND (timeout_seconds > 0) AND (context_window_size > 0))),
    CONSTRAINT ck_workers_status CHECK (((status)::text = ANY ((ARRAY['idle'::character varying, 'busy'::character varying, 'offline'::character varying, 'error'::character varying])::text[]))),
    CONSTRAINT ck_workers_type CHECK (((worker_type)::text = ANY ((ARRAY['feature'::character varying, 'bugfix'::character varying, 'test'::character varying, 'docs'::character varying, 'refactor'::character varying, 'review'::character varying])::text[])))
);

ALTER TABLE ONLY public.resource_usage ATTACH PARTITION public.resource_usage_default DEFAULT;

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.agent_executions
    ADD CONSTRAINT pk_agent_executions PRIMARY KEY (id);

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT pk_api_tokens PRIMARY KEY (id);

ALTER TABLE ONLY public.approval_requests
    ADD CONSTRAINT pk_approval_requests PRIMARY KEY (id);

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT pk_audit_log PRIMARY KEY (id);

ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT pk_audit_seals PRIMARY KEY (id);

ALTER TABLE ONLY public.budget_holds
    ADD CONSTRAINT pk_budget_holds PRIMARY KEY (reservation_id, budget_id);

ALTER TABLE ONLY public.budget_reservations
    ADD CONSTRAINT pk_budget_reservations PRIMARY KEY (id);

ALTER TABLE ONLY public.chat_attachments
    ADD CONSTRAINT pk_chat_attachments PRIMARY KEY (id);

ALTER TABLE ONLY public.chat_conversations
    ADD CONSTRAINT pk_chat_conversations PRIMARY KEY (id);

ALTER TABLE ONLY public.chat_messages
    ADD CONSTRAINT pk_chat_messages PRIMARY KEY (id);

ALTER TABLE ONLY public.checkpoint_verification_queue
    ADD CONSTRAINT pk_checkpoint_verification_queue PRIMARY KEY (id);

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT pk_checkpoints PRIMARY KEY (id);

ALTER TABLE ONLY public.context_document_versions
    ADD CONSTRAINT pk_context_document_versions PRIMARY KEY (id);

ALTER TABLE ONLY public.context_documents
    ADD CONSTRAINT pk_context_documents PRIMARY KEY (id);

ALTER TABLE ONLY public.exchange_rates
    ADD CONSTRAINT pk_exchange_rates PRIMARY KEY (id);

ALTER TABLE ONLY public.execution_logs
    ADD CONSTRAINT pk_execution_logs PRIMARY KEY (id);

ALTER TABLE ONLY public.executions
    ADD CONSTRAINT pk_executions PRIMARY KEY (id);

ALTER TABLE ONLY public.hub_checkpoints
    ADD CONSTRAINT pk_hub_checkpoints PRIMARY KEY (id);

ALTER TABLE ONLY public.hub_experiments
    ADD CONSTRAINT pk_hub_experiments PRIMARY KEY (id);

ALTER TABLE ONLY public.hub_instances
    ADD CONSTRAINT pk_hub_instances PRIMARY KEY (id);

ALTER TABLE ONLY public.idempotent_replies
    ADD CONSTRAINT pk_idempotent_replies PRIMARY KEY (id);

ALTER TABLE ONLY public.instances
    ADD CONSTRAINT pk_instances PRIMARY KEY (id);

ALTER TABLE ONLY public.intelligent_machines
    ADD CONSTRAINT pk_intelligent_machines PRIMARY KEY (id);

ALTER TABLE ONLY public.llm_round_table_results
    ADD CONSTRAINT pk_llm_round_table_results PRIMARY KEY (id);

ALTER TABLE ONLY public.login_throttles
    ADD CONSTRAINT pk_login_throttles PRIMARY KEY (id);

ALTER TABLE ONLY public.machine_messages
    ADD CONSTRAINT pk_machine_messages PRIMARY KEY (id);

ALTER TABLE ONLY public.maintenance_log
    ADD CONSTRAINT pk_maintenance_log PRIMARY KEY (id);

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT pk_orders PRIMARY KEY (id);

ALTER TABLE ONLY public.outbox_events
    ADD CONSTRAINT pk_outbox_events PRIMARY KEY (id);

ALTER TABLE ONLY public.products
    ADD CONSTRAINT pk_products PRIMARY KEY (id);

ALTER TABLE ONLY public.project_members
    ADD CONSTRAINT pk_project_members PRIMARY KEY (id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT pk_projects PRIMARY KEY (id);

ALTER TABLE ONLY public.provider_pauses
    ADD CONSTRAINT pk_provider_pauses PRIMARY KEY (id);

ALTER TABLE ONLY public.queue_shares
    ADD CONSTRAINT pk_queue_shares PRIMARY KEY (id);

ALTER TABLE ONLY public.rag_documents
    ADD CONSTRAINT pk_rag_documents PRIMARY KEY (id);

ALTER TABLE ONLY public.resource_budgets
    ADD CONSTRAINT pk_resource_budgets PRIMARY KEY (id);

ALTER TABLE ONLY public.resource_usage
    ADD CONSTRAINT pk_resource_usage PRIMARY KEY (id, recorded_at);

ALTER TABLE ONLY public.resource_usage_daily
    ADD CONSTRAINT pk_resource_usage_daily PRIMARY KEY (project_id, usage_date, resource_type, unit);

ALTER TABLE ONLY public.task_dependencies
    ADD CONSTRAINT pk_task_dependencies PRIMARY KEY (id);

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT pk_tasks PRIMARY KEY (id);

ALTER TABLE ONLY public.tool_executions
    ADD CONSTRAINT pk_tool_executions PRIMARY KEY (id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT pk_users PRIMARY KEY (id);

ALTER TABLE ONLY public.work_orders
    ADD CONSTRAINT pk_work_orders PRIMARY KEY (id);

ALTER TABLE ONLY public.worker_assignments
    ADD CONSTRAINT pk_worker_assignments PRIMARY KEY (id);

ALTER TABLE ONLY public.worker_capabilities
    ADD CONSTRAINT pk_worker_capabilities PRIMARY KEY (id);

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT pk_workers PRIMARY KEY (id);

ALTER TABLE ONLY public.resource_usage_default
    ADD CONSTRAINT resource_usage_default_pkey PRIMARY KEY (id, recorded_at);

ALTER TABLE ONLY public.agent_executions
    ADD CONSTRAINT uq_agent_executions_execution_id UNIQUE (execution_id);

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT uq_api_tokens_token_hash UNIQUE (token_hash);

ALTER TABLE ONLY public.budget_reservations
    ADD CONSTRAINT uq_budget_reservations_idempotency UNIQUE (execution_id, idempotency_key);

ALTER TABLE ONLY public.resource_budgets
    ADD CONSTRAINT uq_budgets_project_type_period_start UNIQUE NULLS NOT DISTINCT (project_id, task_id, resource_type, budget_period, period_start);

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT uq_checkpoints_proxmox_snapshot_id UNIQUE (proxmox_snapshot_id);

ALTER TABLE ONLY public.context_document_versions
    ADD CONSTRAINT uq_context_document_versions UNIQUE (document_id, version);

ALTER TABLE ONLY public.exchange_rates
    ADD CONSTRAINT uq_exchange_rates UNIQUE (currency, valid_from);

ALTER TABLE ONLY public.execution_logs
    ADD CONSTRAINT uq_execution_logs_seq UNIQUE (execution_id, seq);

ALTER TABLE ONLY public.hub_instances
    ADD CONSTRAINT uq_hub_instances_machine UNIQUE (machine_id);

ALTER TABLE ONLY public.idempotent_replies
    ADD CONSTRAINT uq_idempotent_replies_key UNIQUE (actor_id, idempotency_key);

ALTER TABLE ONLY public.llm_round_table_results
    ADD CONSTRAINT uq_llm_round_table_results_result_id UNIQUE (result_id);

ALTER TABLE ONLY public.login_throttles
    ADD CONSTRAINT uq_login_throttles_key UNIQUE (throttle_key);

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT uq_orders_order_number UNIQUE (order_number);

ALTER TABLE ONLY public.project_members
    ADD CONSTRAINT uq_project_members UNIQUE (project_id, user_id);

ALTER TABLE ONLY public.queue_shares
    ADD CONSTRAINT uq_queue_shares UNIQUE (queue_name, project_id);

ALTER TABLE ONLY public.rag_documents
    ADD CONSTRAINT uq_rag_documents_chunk UNIQUE (parent_document_id, chunk_index);

ALTER TABLE ONLY public.rag_documents
    ADD CONSTRAINT uq_rag_documents_document_id UNIQUE (document_id);

ALTER TABLE ONLY public.task_dependencies
    ADD CONSTRAINT uq_task_dependencies UNIQUE (task_id, depends_on_task_id);

ALTER TABLE ONLY public.worker_assignments
    ADD CONSTRAINT uq_worker_assignments UNIQUE (worker_id, work_order_id);

ALTER TABLE ONLY public.worker_capabilities
    ADD CONSTRAINT uq_worker_capabilities UNIQUE (worker_id, capability_name);

CREATE INDEX idx_agent_executions_agent ON public.agent_executions USING btree (agent_name);

CREATE INDEX idx_agent_executions_machine ON public.agent_executions USING btree (machine_id);

CREATE INDEX idx_agent_executions_status ON public.agent_executions USING btree (status);

CREATE INDEX idx_agent_executions_task_execution ON public.agent_executions USING btree (task_execution_id);

CREATE INDEX idx_api_tokens_machine ON public.api_tokens USING btree (machine_id);

CREATE INDEX idx_api_tokens_user ON public.api_tokens USING btree (user_id);

CREATE INDEX idx_api_tokens_worker ON public.api_tokens USING btree (worker_id);

CREATE INDEX idx_approval_requests_answered_by ON public.approval_requests USING btree (answered_by);

CREATE INDEX idx_approval_requests_conversation ON public.approval_requests USING btree (conversation_id);

CREATE INDEX idx_approval_requests_execution ON public.approval_requests USING btree (execution_id);

CREATE INDEX idx_approval_requests_machine ON public.approval_requests USING btree (machine_id);

CREATE INDEX idx_approval_requests_open ON public.approval_requests USING btree (deadline_at) WHERE ((status)::text = 'open'::text);

CREATE INDEX idx_approval_requests_task ON public.approval_requests USING btree (task_id);

CREATE INDEX idx_assignments_machine ON public.worker_assignments USING btree (machine_id);

CREATE INDEX idx_assignments_order ON public.worker_assignments USING btree (work_order_id);

CREATE INDEX idx_assignments_status ON public.worker_assignments USING btree (status);

CREATE INDEX idx_assignments_worker ON public.worker_assignments USING btree (worker_id);

CREATE INDEX idx_audit_log_at ON public.audit_log USING btree (at);

CREATE INDEX idx_audit_log_resource ON public.audit_log USING btree (resource_type, resource_id);

CREATE INDEX idx_budget_reservations_machine ON public.budget_reservations USING btree (machine_id);

CREATE INDEX idx_budget_reservations_open ON public.budget_reservations USING btree (instance_id, expires_at) WHERE ((state)::text = ANY ((ARRAY['reserved'::character varying, 'forwarded'::character varying, 'uncertain'::character varying])::text[]));

CREATE INDEX idx_budget_reservations_project ON public.budget_reservations USING btree (project_id, reserved_at);

CREATE INDEX idx_budget_reservations_task ON public.budget_reservations USING btree (task_id);

CREATE INDEX idx_budgets_active ON public.resource_budgets USING btree (period_end, period_start);

CREATE INDEX idx_budgets_project_period ON public.resource_budgets USING btree (project_id, period_start, period_end);

CREATE INDEX idx_budgets_task ON public.resource_budgets USING btree (task_id);

CREATE INDEX idx_chat_attachments_message ON public.chat_attachments USING btree (message_id);

CREATE INDEX idx_chat_conversations_created_by ON public.chat_conversations USING btree (created_by);

CREATE INDEX idx_chat_conversations_project ON public.chat_conversations USING btree (project_id);

CREATE INDEX idx_chat_conversations_task ON public.chat_conversations USING btree (task_id);

CREATE INDEX idx_chat_messages_conversation ON public.chat_messages USING btree (conversation_id, created_at);

CREATE INDEX idx_chat_messages_created ON public.chat_messages USING btree (created_at);

CREATE INDEX idx_chat_messages_parent ON public.chat_messages USING btree (parent_message_id);

CREATE INDEX idx_chat_messages_sender ON public.chat_messages USING btree (sender_type, sender_id);

CREATE INDEX idx_checkpoints_active ON public.checkpoints USING btree (project_id, created_at DESC) WHERE ((verification_status)::text = 'verified'::text);

CREATE INDEX idx_checkpoints_created_at ON public.checkpoints USING btree (created_at DESC);

CREATE INDEX idx_checkpoints_machine ON public.checkpoints USING btree (creating_machine_id);

CREATE INDEX idx_checkpoints_parent ON public.checkpoints USING btree (parent_checkpoint_id);

CREATE INDEX idx_checkpoints_paths_gin ON public.checkpoints USING gin (((jsonb_path_query_array(file_manifest, '$."files"[*]."path"'::jsonpath) || COALESCE((file_manifest -> 'deleted'::text), '[]'::jsonb))) jsonb_path_ops);

CREATE INDEX idx_checkpoints_project ON public.checkpoints USING btree (project_id, created_at DESC);

CREATE INDEX idx_checkpoints_type ON public.checkpoints USING btree (checkpoint_type, created_at DESC);

CREATE INDEX idx_context_docs_created_by ON public.context_documents USING btree (created_by);

CREATE INDEX idx_context_docs_project ON public.context_documents USING btree (project_id);

CREATE INDEX idx_context_docs_repo ON public.context_documents USING btree (repository_url);

CREATE INDEX idx_context_docs_tags ON public.context_documents USING gin (tags);

CREATE INDEX idx_context_docs_type ON public.context_documents USING btree (document_type);

CREATE INDEX idx_context_document_versions_created_by ON public.context_document_versions USING btree (created_by);

CREATE INDEX idx_execution_logs_execution ON public.execution_logs USING btree (execution_id);

CREATE INDEX idx_execution_logs_level ON public.execution_logs USING btree (level);

CREATE INDEX idx_execution_logs_logged_at ON public.execution_logs USING btree (logged_at);

CREATE INDEX idx_executions_checkpoint ON public.executions USING btree (result_checkpoint_id);

CREATE INDEX idx_executions_correlation ON public.executions USING btree (correlation_id);

CREATE INDEX idx_executions_machine ON public.executions USING btree (machine_id);

CREATE INDEX idx_executions_started ON public.executions USING btree (started_at);

CREATE INDEX idx_executions_status ON public.executions USING btree (status);

CREATE INDEX idx_executions_task ON public.executions USING btree (task_id);

CREATE INDEX idx_executions_task_status ON public.executions USING btree (task_id, status);

CREATE INDEX idx_executions_work_order ON public.executions USING btree (work_order_id);

CREATE INDEX idx_executions_worker ON public.executions USING btree (worker_id);

CREATE INDEX idx_hub_checkpoints_created_at ON public.hub_checkpoints USING btree (created_at DESC);

CREATE INDEX idx_hub_checkpoints_hub ON public.hub_checkpoints USING btree (hub_id);

CREATE INDEX idx_hub_checkpoints_type ON public.hub_checkpoints USING btree (checkpoint_type);

CREATE INDEX idx_hub_experiments_base ON public.hub_experiments USING btree (base_checkpoint_id);

CREATE INDEX idx_hub_experiments_experimental ON public.hub_experiments USING btree (experimental_hub_id);

CREATE INDEX idx_hub_experiments_original ON public.hub_experiments USING btree (original_hub_id);

CREATE INDEX idx_hub_experiments_started_at ON public.hub_experiments USING btree (started_at);

CREATE INDEX idx_hub_experiments_status ON public.hub_experiments USING btree (status);

CREATE INDEX idx_hub_instances_experiment ON public.hub_instances USING btree (experiment_id);

CREATE INDEX idx_hub_instances_parent ON public.hub_instances USING btree (parent_hub_id);

CREATE INDEX idx_hub_instances_status ON public.hub_instances USING btree (status);

CREATE INDEX idx_hub_instances_type ON public.hub_instances USING btree (type);

CREATE INDEX idx_idempotent_replies_created ON public.idempotent_replies USING btree (created_at);

CREATE INDEX idx_instances_heartbeat ON public.instances USING btree (heartbeat_at);

CREATE INDEX idx_llm_results_category ON public.llm_round_table_results USING btree (task_category);

CREATE INDEX idx_llm_results_execution ON public.llm_round_table_results USING btree (task_execution_id);

CREATE INDEX idx_login_throttles_time ON public.login_throttles USING btree (last_failed_at);

CREATE INDEX idx_machine_messages_correlation ON public.machine_messages USING btree (correlation_id);

CREATE INDEX idx_machine_messages_inbox ON public.machine_messages USING btree (recipient_machine_id, status, enqueued_at);

CREATE INDEX idx_machine_messages_sender ON public.machine_messages USING btree (sender_machine_id);

CREATE INDEX idx_machines_budget ON public.intelligent_machines USING btree ((
CASE
    WHEN ((resource_constraints ->> 'daily_budget'::text) ~ '^-?[0-9]+([.][0-9]+)?$'::text) THEN ((resource_constraints ->> 'daily_budget'::text))::numeric
    ELSE NULL::numeric
END));

CREATE INDEX idx_machines_constraints_gin ON public.intelligent_machines USING gin (resource_constraints);

CREATE INDEX idx_machines_hub ON public.intelligent_machines USING btree (spawned_by_hub_id);

CREATE INDEX idx_machines_parent_checkpoint ON public.intelligent_machines USING btree (parent_checkpoint_id);

CREATE INDEX idx_machines_parent_machine ON public.intelligent_machines USING btree (parent_machine_id);

CREATE INDEX idx_machines_project_status ON public.intelligent_machines USING btree (project_id, status);

CREATE INDEX idx_machines_spawn_time ON public.intelligent_machines USING btree (spawned_at DESC);

CREATE INDEX idx_machines_status ON public.intelligent_machines USING btree (status);

CREATE INDEX idx_machines_type_status ON public.intelligent_machines USING btree (machine_type, status);

CREATE INDEX idx_machines_vm ON public.intelligent_machines USING btree (vm_id) WHERE (vm_id IS NOT NULL);

CREATE INDEX idx_machines_worker ON public.intelligent_machines USING btree (worker_id);

CREATE INDEX idx_maintenance_log_operation ON public.maintenance_log USING btree (operation, performed_at DESC);

CREATE UNIQUE INDEX idx_mv_machine_performance ON public.mv_machine_performance USING btree (machine_type);

CREATE UNIQUE INDEX idx_mv_project_summary ON public.mv_project_resource_summary USING btree (project_id, usage_date, resource_type, unit);

CREATE INDEX idx_orders_status ON public.orders USING btree (status);

CREATE INDEX idx_orders_user_id ON public.orders USING btree (user_id);

CREATE INDEX idx_outbox_events_unrelayed ON public.outbox_events USING btree (id) WHERE (relayed_at IS NULL);

CREATE UNIQUE INDEX idx_products_sku ON public.products USING btree (sku);

CREATE INDEX idx_products_status ON public.products USING btree (status);

CREATE INDEX idx_project_members_user ON public.project_members USING btree (user_id);

CREATE INDEX idx_projects_greediness ON public.projects USING btree (greediness DESC);

CREATE INDEX idx_projects_metadata_gin ON public.projects USING gin (metadata);

CREATE UNIQUE INDEX idx_projects_name ON public.projects USING btree (name);

CREATE INDEX idx_projects_status ON public.projects USING btree (status) WHERE ((status)::text = 'active'::text);

CREATE INDEX idx_queue_shares_project ON public.queue_shares USING btree (project_id);

CREATE INDEX idx_rag_documents_context ON public.rag_documents USING btree (context_document_id);

CREATE INDEX idx_rag_documents_hash ON public.rag_documents USING btree (content_hash);

CREATE INDEX idx_rag_documents_source ON public.rag_documents USING btree (source_path);

CREATE INDEX idx_resource_machine ON ONLY public.resource_usage USING btree (machine_id) WHERE (machine_id IS NOT NULL);

CREATE INDEX idx_resource_project_time ON ONLY public.resource_usage USING btree (project_id, recorded_at);

CREATE INDEX idx_resource_type_time ON ONLY public.resource_usage USING btree (resource_type, recorded_at);

CREATE INDEX idx_resource_usage_daily_date ON public.resource_usage_daily USING btree (usage_date);

CREATE INDEX idx_resource_usage_execution ON ONLY public.resource_usage USING btree (execution_id) WHERE (execution_id IS NOT NULL);

CREATE INDEX idx_task_deps_depends_on ON public.task_dependencies USING btree (depends_on_task_id);

CREATE INDEX idx_task_deps_task ON public.task_dependencies USING btree (task_id);

CREATE INDEX idx_tasks_assigned_to ON public.tasks USING btree (assigned_to);

CREATE INDEX idx_tasks_context_gin ON public.tasks USING gin (context);

CREATE INDEX idx_tasks_created_by ON public.tasks USING btree (created_by);

CREATE INDEX idx_tasks_parent ON public.tasks USING btree (parent_task_id);

CREATE INDEX idx_tasks_priority ON public.tasks USING btree (priority);

CREATE INDEX idx_tasks_project_status ON public.tasks USING btree (project_id, status);

CREATE INDEX idx_tasks_status ON public.tasks USING btree (status);

CREATE INDEX idx_tasks_status_priority ON public.tasks USING btree (status, priority);

CREATE INDEX idx_tasks_type ON public.tasks USING btree (task_type);

CREATE INDEX idx_tool_executions_agent_execution ON public.tool_executions USING btree (agent_execution_id);

CREATE INDEX idx_tool_executions_correlation ON public.tool_executions USING btree (correlation_id);

CREATE INDEX idx_tool_executions_status ON public.tool_executions USING btree (status);

CREATE INDEX idx_tool_executions_tool ON public.tool_executions USING btree (tool_name);

CREATE INDEX idx_tool_executions_user ON public.tool_executions USING btree (user_id);

CREATE UNIQUE INDEX idx_users_email ON public.users USING btree (email);

CREATE INDEX idx_users_role ON public.users USING btree (role);

CREATE UNIQUE INDEX idx_users_username ON public.users USING btree (username);

CREATE INDEX idx_verification_queue_checkpoint ON public.checkpoint_verification_queue USING btree (checkpoint_id);

CREATE INDEX idx_verification_queue_claim ON public.checkpoint_verification_queue USING btree (status, queued_at);

CREATE INDEX idx_work_orders_claim ON public.work_orders USING btree (queue_name, route, priority DESC, fair_key, id) WHERE ((status)::text = 'pending'::text);

CREATE INDEX idx_work_orders_enqueued ON public.work_orders USING btree (enqueued_at);

CREATE INDEX idx_work_orders_expires ON public.work_orders USING btree (expires_at);

CREATE INDEX idx_work_orders_queue ON public.work_orders USING btree (queue_name);

CREATE INDEX idx_work_orders_status ON public.work_orders USING btree (status);

CREATE INDEX idx_work_orders_task ON public.work_orders USING btree (task_id);

CREATE INDEX idx_worker_caps_name ON public.worker_capabilities USING btree (capability_name);

CREATE INDEX idx_worker_caps_worker ON public.worker_capabilities USING btree (worker_id);

CREATE INDEX idx_workers_heartbeat ON public.workers USING btree (last_heartbeat_at);

CREATE INDEX idx_workers_status ON public.workers USING btree (status);

CREATE INDEX idx_workers_type ON public.workers USING btree (worker_type);

CREATE INDEX idx_workers_type_status ON public.workers USING btree (worker_type, status);

CREATE INDEX resource_usage_default_execution_id_idx ON public.resource_usage_default USING btree (execution_id) WHERE (execution_id IS NOT NULL);

CREATE INDEX resource_usage_default_machine_id_idx ON public.resource_usage_default USING btree (machine_id) WHERE (machine_id IS NOT NULL);

CREATE INDEX resource_usage_default_project_id_recorded_at_idx ON public.resource_usage_default USING btree (project_id, recorded_at);

CREATE INDEX resource_usage_default_resource_type_recorded_at_idx ON public.resource_usage_default USING btree (resource_type, recorded_at);

CREATE UNIQUE INDEX uq_assignments_active_order ON public.worker_assignments USING btree (work_order_id) WHERE ((status)::text = 'active'::text);

CREATE UNIQUE INDEX uq_machines_live_vm ON public.intelligent_machines USING btree (hypervisor, vm_id) WHERE ((vm_id IS NOT NULL) AND (terminated_at IS NULL));

CREATE UNIQUE INDEX uq_verification_queue_open ON public.checkpoint_verification_queue USING btree (checkpoint_id) WHERE ((status)::text = ANY ((ARRAY['queued'::character varying, 'processing'::character varying])::text[]));

ALTER INDEX public.idx_resource_usage_execution ATTACH PARTITION public.resource_usage_default_execution_id_idx;

ALTER INDEX public.idx_resource_machine ATTACH PARTITION public.resource_usage_default_machine_id_idx;

ALTER INDEX public.pk_resource_usage ATTACH PARTITION public.resource_usage_default_pkey;

ALTER INDEX public.idx_resource_project_time ATTACH PARTITION public.resource_usage_default_project_id_recorded_at_idx;

ALTER INDEX public.idx_resource_type_time ATTACH PARTITION public.resource_usage_default_resource_type_recorded_at_idx;

CREATE TRIGGER checkpoints_immutable BEFORE UPDATE ON public.checkpoints FOR EACH ROW WHEN (((old.verification_status)::text = 'verified'::text)) EXECUTE FUNCTION public.checkpoints_immutable();

CREATE TRIGGER delete_holds_after_call AFTER DELETE ON public.budget_reservations REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.delete_holds_of_calls();

CREATE TRIGGER enforce_budget_after_insert AFTER INSERT ON public.resource_usage REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION public.enforce_resource_budget();

CREATE TRIGGER finish_checkpoint_verification AFTER UPDATE ON public.checkpoints FOR EACH ROW WHEN ((((old.verification_status)::text = 'pending'::text) AND ((new.verification_status)::text <> 'pending'::text))) EXECUTE FUNCTION public.finish_checkpoint_verification();

CREATE TRIGGER queue_verification_after_insert AFTER INSERT ON public.checkpoints FOR EACH ROW WHEN (((new.verification_status)::text = 'pending'::text)) EXECUTE FUNCTION public.queue_checkpoint_verification();

CREATE TRIGGER roll_up_usage_after_insert AFTER INSERT ON public.resource_usage REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION public.add_usage_to_daily();

CREATE TRIGGER schedule_checkpoint_verification AFTER INSERT ON public.checkpoints FOR EACH ROW WHEN (((new.verification_status)::text = 'pending'::text)) EXECUTE FUNCTION public.verify_checkpoint_integrity();

CREATE TRIGGER update_api_tokens_updated_at BEFORE UPDATE ON public.api_tokens FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_approval_requests_updated_at BEFORE UPDATE ON public.approval_requests FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_chat_conversations_updated_at BEFORE UPDATE ON public.chat_conversations FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_context_documents_updated_at BEFORE UPDATE ON public.context_documents FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_executions_updated_at BEFORE UPDATE ON public.executions FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_hub_experiments_updated_at BEFORE UPDATE ON public.hub_experiments FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_hub_instances_updated_at BEFORE UPDATE ON public.hub_instances FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_intelligent_machines_updated_at BEFORE UPDATE ON public.intelligent_machines FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_orders_updated_at BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_products_updated_at BEFORE UPDATE ON public.products FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_project_members_updated_at BEFORE UPDATE ON public.project_members FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_projects_updated_at BEFORE UPDATE ON public.projects FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_rag_documents_updated_at BEFORE UPDATE ON public.rag_documents FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_resource_budgets_updated_at BEFORE UPDATE ON public.resource_budgets FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_task_dependencies_updated_at BEFORE UPDATE ON public.task_dependencies FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_tasks_updated_at BEFORE UPDATE ON public.tasks FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_work_orders_updated_at BEFORE UPDATE ON public.work_orders FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_worker_assignments_updated_at BEFORE UPDATE ON public.worker_assignments FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_worker_capabilities_updated_at BEFORE UPDATE ON public.worker_capabilities FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER update_workers_updated_at BEFORE UPDATE ON public.workers FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

ALTER TABLE ONLY public.agent_executions
    ADD CONSTRAINT fk_agent_executions_machine_id FOREIGN KEY (machine_id) REFERENCES public.intelligent_machines(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.agent_executions
    ADD CONSTRAINT fk_agent_executions_task_execution_id FOREIGN KEY (task_execution_id) REFERENCES public.executions(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT fk_api_tokens_machine_id FOREIGN KEY (machine_id) REFERENCES public.intelligent_machines(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT fk_api_tokens_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT fk_api_tokens_worker_id FOREIGN KEY (worker_id) REFERENCES public.workers(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.approval_requests
    ADD CONSTRAINT fk_approval_requests_answered_by FOREIGN KEY (answered_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.approval_requests
    ADD CONSTRAINT fk_approval_requests_conversation_id FOREIGN KEY (conversation_id) REFERENCES public.chat_conversations(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.approval_requests
    ADD CONSTRAINT fk_approval_requests_execution_id FOREIGN KEY (execution_id) REFERENCES public.executions(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.approval_requests
    ADD CONSTRAINT fk_approval_requests_machine_id FOREIGN KEY (machine_id) REFERENCES public.intelligent_machines(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.approval_requests
    ADD CONSTRAINT fk_approval_requests_task_id FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.budget_reservations
    ADD CONSTRAINT fk_budget_reservations_machine_id FOREIGN KEY (machine_id) REFERENCES public.intelligent_machines(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.budget_reservations
    ADD CONSTRAINT fk_budget_reservations_project_id FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.budget_reservations
    ADD CONSTRAINT fk_budget_reservations_task_id FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.chat_attachments
    ADD CONSTRAINT fk_chat_attachments_message_id FOREIGN KEY (message_id) REFERENCES public.chat_messages(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.chat_conversations
    ADD CONSTRAINT fk_chat_conversations_created_by FOREIGN KEY (created_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.chat_conversations
    ADD CONSTRAINT fk_chat_conversations_project_id FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.chat_conversations
    ADD CONSTRAINT fk_chat_conversations_task_id FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.chat_messages
    ADD CONSTRAINT fk_chat_messages_conversation_id FOREIGN KEY (conversation_id) REFERENCES public.chat_conversations(id) ON DELETE RESTRICT;

ALTER TABLE ONLY public.chat_messages
    ADD CONSTRAINT fk_chat_messages_parent_message_id FOREIGN KEY (parent_message_id) REFERENCES public.chat_messages(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.checkpoint_verification_queue
    ADD CONSTRAINT fk_checkpoint_verification_queue_checkpoint_id FOREIGN KEY (checkpoint_id) REFERENCES public.checkpoints(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT fk_checkpoints_creating_machine_id FOREIGN KEY (creating_machine_id) REFERENCES public.intelligent_machines(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT fk_checkpoints_parent_checkpoint_id FOREIGN KEY (parent_checkpoint_id) REFERENCES public.checkpoints(id);

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT fk_checkpoints_project_id FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.context_document_versions
    ADD CONSTRAINT fk_context_document_versions_created_by FOREIGN KEY (created_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.context_document_versions
    ADD CONSTRAINT fk_context_document_versions_document_id FOREIGN KEY (document_id) REFERENCES public.context_documents(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.context_documents
    ADD CONSTRAINT fk_context_documents_created_by FOREIGN KEY (created_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.context_documents
    ADD CONSTRAINT fk_context_documents_project_id FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.execution_logs
    ADD CONSTRAINT fk_execution_logs_execution_id FOREIGN KEY (execution_id) REFERENCES public.executions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.executions
    ADD CONSTRAINT fk_executions_machine_id FOREIGN KEY (machine_id) REFERENCES public.intelligent_machines(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.executions
    ADD CONSTRAINT fk_executions_result_checkpoint_id FOREIGN KEY (result_checkpoint_id) REFERENCES public.checkpoints(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.executions
    ADD CONSTRAINT fk_executions_task_id FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.executions
    ADD CONSTRAINT fk_executions_work_order_id FOREIGN KEY (work_order_id) REFERENCES public.work_orders(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.executions
    ADD CONSTRAINT fk_executions_worker_id FOREIGN KEY (worker_id) REFERENCES public.workers(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.hub_checkpoints
    ADD CONSTRAINT fk_hub_checkpoints_hub_id FOREIGN KEY (hub_id) REFERENCES public.hub_instances(id);

ALTER TABLE ONLY public.hub_experiments
    ADD CONSTRAINT fk_hub_experiments_base_checkpoint_id FOREIGN KEY (base_checkpoint_id) REFERENCES public.hub_checkpoints(id);

ALTER TABLE ONLY public.hub_experiments
    ADD CONSTRAINT fk_hub_experiments_experimental_hub_id FOREIGN KEY (experimental_hub_id) REFERENCES public.hub_instances(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.hub_experiments
    ADD CONSTRAINT fk_hub_experiments_original_hub_id FOREIGN KEY (original_hub_id) REFERENCES public.hub_instances(id);

ALTER TABLE ONLY public.hub_instances
    ADD CONSTRAINT fk_hub_instances_experiment_id FOREIGN KEY (experiment_id) REFERENCES public.hub_experiments(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.hub_instances
    ADD CONSTRAINT fk_hub_instances_machine_id FOREIGN KEY (machine_id) REFERENCES public.intelligent_machines(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.hub_instances
    ADD CONSTRAINT fk_hub_instances_parent_hub_id FOREIGN KEY (parent_hub_id) REFERENCES public.hub_instances(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.intelligent_machines
    ADD CONSTRAINT fk_intelligent_machines_parent_checkpoint_id FOREIGN KEY (parent_checkpoint_id) REFERENCES public.checkpoints(id);

ALTER TABLE ONLY public.intelligent_machines
    ADD CONSTRAINT fk_intelligent_machines_parent_machine_id FOREIGN KEY (parent_machine_id) REFERENCES public.intelligent_machines(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.intelligent_machines
    ADD CONSTRAINT fk_intelligent_machines_project_id FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE RESTRICT;

ALTER TABLE ONLY public.intelligent_machines
    ADD CONSTRAINT fk_intelligent_machines_spawned_by_hub_id FOREIGN KEY (spawned_by_hub_id) REFERENCES public.intelligent_machines(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.intelligent_machines
    ADD CONSTRAINT fk_intelligent_machines_worker_id FOREIGN KEY (worker_id) REFERENCES public.workers(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.llm_round_table_results
    ADD CONSTRAINT fk_llm_round_table_results_task_execution_id FOREIGN KEY (task_execution_id) REFERENCES public.executions(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.machine_messages
    ADD CONSTRAINT fk_machine_messages_recipient_machine_id FOREIGN KEY (recipient_machine_id) REFERENCES public.intelligent_machines(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.machine_messages
    ADD CONSTRAINT fk_machine_messages_sender_machine_id FOREIGN KEY (sender_machine_id) REFERENCES public.intelligent_machines(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT fk_orders_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.project_members
    ADD CONSTRAINT fk_project_members_project_id FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.project_members
    ADD CONSTRAINT fk_project_members_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.queue_shares
    ADD CONSTRAINT fk_queue_shares_project_id FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.rag_documents
    ADD CONSTRAINT fk_rag_documents_context_document_id FOREIGN KEY (context_document_id) REFERENCES public.context_documents(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.resource_budgets
    ADD CONSTRAINT fk_resource_budgets_project_id FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.resource_budgets
    ADD CONSTRAINT fk_resource_budgets_task_id FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.resource_usage_daily
    ADD CONSTRAINT fk_resource_usage_daily_project_id FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE public.resource_usage
    ADD CONSTRAINT fk_resource_usage_machine_id FOREIGN KEY (machine_id) REFERENCES public.intelligent_machines(id) ON DELETE SET NULL;

ALTER TABLE public.resource_usage
    ADD CONSTRAINT fk_resource_usage_project_id FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.task_dependencies
    ADD CONSTRAINT fk_task_dependencies_depends_on_task_id FOREIGN KEY (depends_on_task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.task_dependencies
    ADD CONSTRAINT fk_task_dependencies_task_id FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT fk_tasks_assigned_to FOREIGN KEY (assigned_to) REFERENCES public.workers(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT fk_tasks_created_by FOREIGN KEY (created_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT fk_tasks_parent_task_id FOREIGN KEY (parent_task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT fk_tasks_project_id FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.tool_executions
    ADD CONSTRAINT fk_tool_executions_agent_execution_id FOREIGN KEY (agent_execution_id) REFERENCES public.agent_executions(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.tool_executions
    ADD CONSTRAINT fk_tool_executions_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.work_orders
    ADD CONSTRAINT fk_work_orders_task_id FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.worker_assignments
    ADD CONSTRAINT fk_worker_assignments_machine_id FOREIGN KEY (machine_id) REFERENCES public.intelligent_machines(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.worker_assignments
    ADD CONSTRAINT fk_worker_assignments_work_order_id FOREIGN KEY (work_order_id) REFERENCES public.work_orders(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.worker_assignments
    ADD CONSTRAINT fk_worker_assignments_worker_id FOREIGN KEY (worker_id) REFERENCES public.workers(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.worker_capabilities
    ADD CONSTRAINT fk_worker_capabilities_worker_id FOREIGN KEY (worker_id) REFERENCES public.workers(id) ON DELETE CASCADE;
