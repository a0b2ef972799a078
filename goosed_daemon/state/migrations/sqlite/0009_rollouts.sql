-- Rollouts: many machines installed in waves, goosed_daemon/rollouts.py.

create table rollouts (
    id            uuid primary key,
    selector      text not null,                 -- as it was given, for people
    profile       text not null,                 -- '' for any
    at_once       integer not null,              -- machines under way at most
    max_failures  integer not null,              -- more stop it
    tries         integer not null,              -- boot tokens for each machine
    state         text not null,                 -- running, paused, stopped, aborted, done
    words         text not null default '',
    started_at    timestamptz not null,
    started_by    text not null,
    changed_at    timestamptz not null
);
create index rollouts_by_state on rollouts (state);

create table rollout_machines (
    rollout   uuid not null references rollouts (id),
    place     integer not null,                  -- the order in which they are armed
    mac       text not null,
    machine   text not null,
    workflow  uuid,                              -- that its arming began, or is about to begin
    primary key (rollout, mac)
);
create index rollout_machines_by_mac on rollout_machines (mac);
