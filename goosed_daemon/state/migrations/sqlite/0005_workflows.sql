-- Every machine's way from armed to ready: goosed_daemon/workflow.

create table workflows (
    id          uuid primary key,
    mac         text not null,
    machine     text not null,                   -- names as of the last offer; '' before
    profile     text not null,
    installer   text not null,
    current     bool not null,                   -- false once the machine was armed again
    state       text not null,                   -- running, ready, failed, cancelled
    step        text not null,                   -- the last that was reached
    attempt     integer not null,                -- 0 before the first boot token
    since       timestamptz not null,            -- in this state and step
    deadline    timestamptz,                     -- when that becomes a failure
    reason      text not null default '',        -- a code, when failed or cancelled
    words       text not null default '',
    began_at    timestamptz not null,
    trace       text not null                    -- W3C trace id
);
create unique index workflows_current on workflows (mac) where current;
create index workflows_due on workflows (deadline) where deadline is not null and current;

-- What was seen of a machine: each thing once, at its earliest.
create table facts (
    workflow  uuid not null references workflows (id),
    token     text not null,                     -- tokens.id of the attempt; '' for none
    step      text not null,                     -- a step, or what ended an attempt
    at        timestamptz not null,
    detail    text not null default '{}',        -- a JSON object
    primary key (workflow, token, step)
);

-- Seen, and not yet taken up by an orchestrator.
create table observations (
    id        integer primary key autoincrement,
    workflow  uuid not null references workflows (id),
    token     text not null,
    step      text not null,
    at        timestamptz not null,
    detail    text not null
);
create index observations_by_workflow on observations (workflow);

-- How long each step took, for the fleet's medians.
create table step_times (
    workflow  uuid not null references workflows (id),
    attempt   integer not null,
    step      text not null,
    profile   text not null,
    outcome   text not null,                     -- done, failed, timeout, cancelled, restarted
    seconds   double precision not null,
    ended_at  timestamptz not null,
    primary key (workflow, attempt, step)
);
create index step_times_by_step on step_times (step, profile, ended_at);
