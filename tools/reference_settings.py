"""The page of settings: each variable, each key of config.toml, its default and its meaning."""

# ruff: noqa: SLF001  # the tables that settings.py keeps for itself are what this page shows

from __future__ import annotations

import dataclasses
import json
import re
from typing import Final

from repository import ROOT

from autovibe.kernel import (
    approval_settings,
    breaker_settings,
    checkpoint_settings,
    database_settings,
    egress_settings,
    gateway_settings,
    log_settings,
    maintenance_settings,
    people_settings,
    serving_settings,
    settings,
    talk_settings,
    worker_settings,
)

SOURCE: Final = ROOT / "src/autovibe/kernel/settings.py"
HEAD: Final = """# Settings

A variable of the environment wins over `$AUTOVIBE_HOME/config.toml`, which wins over the default.
An unknown name in `config.toml` is refused. At start autovibe removes the keys of the providers
from its environment; no process that it starts sees them.

| variable | in `config.toml` | default | meaning |
|---|---|---|---|
"""
# field of Settings, variable, key, meaning; the default is read from the class.
ROWS: Final = (
    (
        "server_certificate",
        "AUTOVIBE_SERVER_CERTIFICATE",
        "server_certificate",
        "Certificate (PEM) that the named server must show.",
    ),
    ("home", "AUTOVIBE_HOME", "", "Directory of everything that autovibe keeps; mode 0700."),
    (
        "database_url",
        "AUTOVIBE_DATABASE_URL",
        "database_url",
        "SQLAlchemy URL, `sqlite:///...` or `postgresql://...`.",
    ),
    (
        "server",
        "AUTOVIBE_SERVER",
        "server",
        "Server that commands talk to; unset, a running `autovibe up` of this home, else none.",
    ),
    ("token", "AUTOVIBE_TOKEN", "token", "Token for that server."),
    (
        "default_task_budget",
        "",
        "limits.default_task_budget",
        'Cap in CAD of a run without `--budget`; `"unlimited"` for none.',
    ),
    ("task_timeout_s", "", "limits.task_timeout", "Wall time of a task in seconds."),
    ("memory_mb", "", "limits.memory_mb", "Memory of a machine in MiB."),
    ("cpus", "", "limits.cpus", "Processors of a machine."),
    ("processes", "", "limits.processes", "Processes of a machine."),
    (
        "rates_max_age_days",
        "",
        "rates.max_age_days",
        "Refuse model calls when the exchange rate is older; unset only warns.",
    ),
    ("sandbox_ro", "", "sandbox.ro", "List of host directories bound read-only into each sandbox."),
    ("host", "", "up.host", "Address that `autovibe up` listens on."),
    ("http_port", "", "up.http_port", "Its HTTP port."),
    ("grpc_port", "", "up.grpc_port", "Its gRPC port."),
    (
        "worker_host",
        "",
        "up.worker_host",
        "Address on which workers of other hosts are served over TLS.",
    ),
    ("worker_port", "", "up.worker_port", "Port for them."),
    (
        "keys",
        "AUTOVIBE_KEYS",
        "",
        "Key ring of secret columns, as `keys.json` of the home has it, in place of that file.",
    ),
)
# The same, of the sections that have classes of their own; the default is read from those.
DATABASE: Final = (
    (
        "profile",
        "profile",
        "Pool of PostgreSQL connections: `large` (20 + 30) or `small` (20 + 10).",
    ),
    ("pool_size", "pool_size", "Connections that are kept open."),
    ("max_overflow", "max_overflow", "Further connections while those are in use."),
    ("pool_timeout_s", "pool_timeout", "Seconds to wait for a connection."),
    ("pool_recycle_s", "pool_recycle", "Age in seconds at which a connection is replaced."),
    ("pool_pre_ping", "pool_pre_ping", "Try a connection before it is used."),
    (
        "statement_timeout_s",
        "statement_timeout",
        "Seconds after which PostgreSQL ends a statement; 0: never.",
    ),
    (
        "lock_timeout_s",
        "lock_timeout",
        "Seconds after which PostgreSQL ends waiting for a lock; 0: never.",
    ),
    (
        "slow_query_s",
        "slow_query",
        "Statements that take more seconds are logged with their plan, without values; 0: none.",
    ),
    (
        "sslmode",
        "sslmode",
        (
            "As libpq's: `disable`, `prefer`, `require`, `verify-ca`, `verify-full`; unset: what "
            "the URL says, else `prefer`."
        ),
    ),
    ("sslrootcert", "sslrootcert", "File of the authority that the server's certificate is of."),
    ("sslcert", "sslcert", "File of a certificate that shows who we are."),
    ("sslkey", "sslkey", "File of its key."),
    ("require_tls", "require_tls", "Refuse everything but `verify-full`; for production."),
)
CACHE: Final = (
    (
        "url",
        "url",
        (
            "Query cache: `memory`, `off`, or `redis://HOST:PORT/DB` (`valkey://`, `rediss://`, "
            "`unix://`), which several processes share."
        ),
    ),
    ("max_entries", "max_entries", "Entries of the cache in memory."),
)
EGRESS: Final = (
    (
        "allow",
        "allow",
        (
            "Hosts that machines may reach by HTTPS, for projects without a list of their own: "
            '`["packages.example.net", "*.example.org", "example.org:8443"]`; in the variable '
            "between commas."
        ),
    ),
    (
        "private",
        "private",
        (
            "Addresses or networks that are not public and that allowed hosts may lead to all the "
            'same, as in `["10.1.0.0/16"]`; never loopback or metadata unless named here.'
        ),
    ),
)
BREAKER: Final = (
    (
        "attempts",
        "attempts",
        "Failed attempts in a row without a change of any file that pause a task; 0: never.",
    ),
    (
        "spend_cad",
        "spend_cad",
        "Spend in CAD since a file was changed last that pauses a task; 0: never.",
    ),
    (
        "same_errors",
        "same_errors",
        (
            "How often the same error of a tool pauses a task: so often without a change of any "
            "file, three times as often at all; 0: never."
        ),
    ),
)
CHECKPOINTS: Final = (
    (
        "audit_every",
        "audit_every",
        (
            "Every so many checkpoints of a machine all files are looked at, whatever the kernel "
            "reported; 0: only in the last one, which always is."
        ),
    ),
    (
        "detection",
        "detection",
        (
            "How changes are found between: `inotify`, `fanotify` (needs root), `walk` (look at "
            "every file), or `auto`, the first of these that the kernel gives."
        ),
    ),
    (
        "key_file",
        "key_file",
        "File with the key of an encrypted store, 32 bytes or 64 hex digits; for a new home only.",
    ),
)
QUEUE: Final = (
    (
        "url",
        "url",
        (
            "`redis://`, `valkey://` or `unix://` of an instance that evicts nothing: it carries "
            "the bell for new tasks besides the database, in a list named as the queue."
        ),
    ),
)
WORKER: Final = (
    (
        "min_free_memory_mb",
        "min_free_memory_mb",
        "Memory in MiB that must be free before a worker begins one more task.",
    ),
    (
        "max_cpu_pressure",
        "max_cpu_pressure",
        (
            "Percent of the time in which something waits for a processor (PSI) above which a "
            "worker that does a task begins no other one; 100 never keeps one waiting."
        ),
    ),
)
GATEWAY: Final = (
    (
        "parked_wait_s",
        "parked_wait",
        "Seconds that a call waits for the quota of a provider's key; 0 passes each 429 on.",
    ),
    ("parked_calls", "parked_calls", "Calls that wait for one key at most."),
    (
        "body_kb",
        "body_kb",
        "KiB that are kept of each question and answer, where a project keeps them.",
    ),
)
UPSTREAM: Final = (
    ("api", "How it speaks: `anthropic`, `openai` or `gemini`."),
    ("url", "Base of the API, without `/v1`."),
    ("key", "Key for it."),
    ("needs_key", "`false` for a server that takes no key."),
    ("prices", "Whose prices apply: a provider of `prices.toml` or the catalogue."),
)
PEOPLE: Final = (
    (
        "bcrypt_cost",
        "bcrypt_cost",
        "Cost of hashing a password, 4 to 16; one more is twice the time.",
    ),
    ("session_s", "session_s", "Seconds that a login lasts."),
    (
        "failures_per_account",
        "failures_per_account",
        "Failed logins before an account has to wait.",
    ),
    ("failures_per_address", "failures_per_address", "The same for an address."),
)
LOGS: Final = (
    (
        "redact",
        "redact",
        "Regular expressions; what they find is taken out of logs, beside known shapes of secrets.",
    ),
    ("raw_kb", "raw_kb", "Raw output of one execution in its log; 0 keeps none."),
    ("tail_kb", "tail_kb", "The end of the raw output that stays with the execution."),
)
CHAT: Final = (
    (
        "attachment_mb",
        "attachment_mb",
        "Largest file that may be attached to a message, up to 11; 0 takes none.",
    ),
    (
        "attachment_types",
        "attachment_types",
        "Media types that may be attached, or families of them as in `image/*`.",
    ),
)
DOCUMENTS: Final = (
    ("max_kb", "max_kb", "Largest context document."),
    ("machine_kb", "machine_kb", "Most that one machine is given of them."),
)
APPROVALS: Final = (
    (
        "deadline_s",
        "deadline_s",
        "Seconds after which nobody has answered: a no, or the default of a question.",
    ),
    (
        "hold_s",
        "hold_s",
        "Seconds after which a machine that waits for a person is freed; 0 keeps it.",
    ),
)
SERVING: Final = (
    ("tls_certificate", "tls_certificate", "Certificate chain (PEM) of REST and gRPC."),
    ("tls_key", "tls_key", "Its private key (PEM)."),
    ("allowed_hosts", "allowed_hosts", "More Host headers that are answered, with their port."),
    ("allowed_origins", "allowed_origins", "Sites whose pages may call (CORS)."),
    (
        "requests_per_minute",
        "requests_per_minute",
        "REST requests of one token a minute; 0 is no limit.",
    ),
)
MAINTENANCE: Final = (
    ("logs_days", "logs_days", "Days for which logs of executions are kept; 0: for ever."),
    ("executions_days", "executions_days", "Days for which ended executions are kept."),
    ("chat_days", "chat_days", "Days for which chat is kept."),
    (
        "model_calls_days",
        "model_calls_days",
        "Days for which questions to models and answers are kept, where a project keeps them.",
    ),
    (
        "checkpoints_days",
        "checkpoints_days",
        "Days after which automatic checkpoints that nothing needs lose their files.",
    ),
    (
        "checkpoints_keep_last",
        "checkpoints_keep_last",
        "How many of the newest of each machine stay all the same.",
    ),
    (
        "checkpoints_keep_daily",
        "checkpoints_keep_daily",
        "Of how many days the newest of each project stays all the same.",
    ),
    (
        "checkpoints_keep_monthly",
        "checkpoints_keep_monthly",
        "Of how many months the newest of each project stays all the same.",
    ),
    (
        "grace_days",
        "grace_days",
        (
            "Days for which the store keeps what no checkpoint needs; not less than backups of the "
            "database are kept. 0 gives no space back."
        ),
    ),
    (
        "restore_window_days",
        "restore_window_days",
        (
            "Days by which the database can be taken back, which is how long its backups and logs "
            "are kept. A shorter `maintenance.grace_days` is refused."
        ),
    ),
    (
        "audit_store",
        "audit_store",
        "Whether the whole store is read and hashed again once a week.",
    ),
    ("archive_path", "archive_path", "Directory of archives; unset, `archives` in the home."),
)
COMPUTED: Final = {
    "home": "`~/.autovibe`",
    "database_url": "`sqlite:///$AUTOVIBE_HOME/autovibe.db`",
}


def page() -> str:
    """Return the page.

    Raises:
        LookupError: settings.py has a field, variable or key that this page would not tell of.
    """
    fields = {field.name: field for field in dataclasses.fields(settings.Settings)}
    lines = [
        row(variable, key, COMPUTED.get(name) or default(fields[name]), meaning)
        for name, variable, key, meaning in ROWS
    ]
    for provider in gateway_settings.PROVIDERS:
        prefix = f"AUTOVIBE_UPSTREAM_{provider.upper()}"
        fallbacks = " or ".join(f"`{name}`" for name in gateway_settings.KEY_FALLBACKS[provider])
        lines += [
            row(
                f"{prefix}_URL",
                f"upstream.{provider}.url",
                f"`{gateway_settings.DEFAULT_URLS[provider]}`",
                f"Base of the {provider} API, without `/v1`.",
            ),
            row(
                f"{prefix}_KEY",
                f"upstream.{provider}.key",
                fallbacks,
                "Key for it; without one, no call is forwarded there.",
            ),
        ]
    for section, rows, kind in (
        ("database", DATABASE, database_settings.DatabaseSettings),
        ("cache", CACHE, database_settings.CacheSettings),
        ("checkpoints", CHECKPOINTS, checkpoint_settings.CheckpointSettings),
        ("egress", EGRESS, egress_settings.EgressSettings),
        ("breaker", BREAKER, breaker_settings.BreakerSettings),
        ("queue", QUEUE, worker_settings.QueueSettings),
        ("worker", WORKER, worker_settings.WorkerSettings),
        ("gateway", GATEWAY, gateway_settings.GatewaySettings),
        ("maintenance", MAINTENANCE, maintenance_settings.MaintenanceSettings),
        ("people", PEOPLE, people_settings.PeopleSettings),
        ("logs", LOGS, log_settings.LogSettings),
        ("chat", CHAT, talk_settings.ChatSettings),
        ("documents", DOCUMENTS, talk_settings.DocumentSettings),
        ("approvals", APPROVALS, approval_settings.ApprovalSettings),
        ("up", SERVING, serving_settings.ServingSettings),
    ):
        own = {field.name: field for field in dataclasses.fields(kind)}
        lines += [
            row(
                f"AUTOVIBE_{section}_{key}".upper(), f"{section}.{key}", default(own[name]), meaning
            )
            for name, key, meaning in rows
        ]
    lines += [
        row(
            f"AUTOVIBE_UPSTREAM_NAME_{key.upper()}" if key in {"url", "key"} else "",
            f"upstream.NAME.{key}",
            "`true`" if key == "needs_key" else "none",
            meaning,
        )
        for key, meaning in UPSTREAM
    ]
    text = HEAD + "\n".join(lines) + "\n"
    refuse_gaps(text, set(fields))
    return text


def row(variable: str, key: str, default_text: str, meaning: str) -> str:
    """Return one setting as a row of the table."""
    return f"| {code(variable)} | {code(key)} | {default_text} | {meaning} |"


def code(text: str) -> str:
    """Return text as code; nothing stays nothing."""
    return f"`{text}`" if text else ""


def default(field: dataclasses.Field[object]) -> str:
    """Return a field's default as a person would write it."""
    if field.default in (None, (), "", dataclasses.MISSING):
        return "none"
    if isinstance(field.default, tuple):
        return f"`{json.dumps(field.default)}`"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`"


def refuse_gaps(text: str, fields: set[str]) -> None:
    """Compare the page with settings.py.

    Raises:
        LookupError: something is missing on the page.
    """
    missing = (
        fields
        - {name for name, *_ in ROWS}
        - {
            "upstreams",
            "database",
            "cache",
            "checkpoints",
            "gateway",
            "maintenance",
            "people",
            "chat",
            "documents",
            "logs",
            "approvals",
            "serving",
            "queue",
            "worker",
        }
        - {"breaker", "egress"}
    )
    variables = re.findall(r"\"(AUTOVIBE_[A-Z_]+)\"", SOURCE.read_text(encoding="utf-8"))
    missing |= {name for name in variables if name not in text}
    for section, keys in settings._SECTIONS.items():
        for key in keys:
            name = f"{section}.{key}".lstrip(".")
            if f"`{name}" not in text:
                missing.add(name)
    if missing:
        msg = f"{min(missing)} of settings.py is not described in tools/reference_settings.py"
        raise LookupError(msg)
