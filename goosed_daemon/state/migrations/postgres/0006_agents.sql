-- Agents of installed systems. No secret is here: enrolment secrets are derived from the site's key
-- and the id, tokens are kept as SHA-256.

-- Leave to enrol, once. A render issues one, whose id is the boot token's; an operator may too.
create table enrolments (
    id          uuid primary key,
    mac         text not null,
    issued_at   timestamptz not null,
    issued_to   text not null,                   -- the address that rendered, or the operator
    expires_at  timestamptz not null,
    used        bool not null default false,
    used_at     timestamptz,
    used_by     text,                            -- the address that enrolled
    ended       text,                            -- why it ended unused: superseded, revoked, expired
    ended_at    timestamptz,
    refusals    integer not null default 0       -- uses refused
);
-- At most one enrolment of a machine can be waiting.
create unique index enrolments_open on enrolments (mac) where not used and ended is null;
create index enrolments_by_mac on enrolments (mac, issued_at);

-- The agent of a machine: one row each, so that rotations never make it grow. A family is the tokens
-- that follow from one enrolment; any ended one of them can be told by the site's key.
create table agents (
    mac          text primary key,
    family       uuid not null unique,           -- enrolments.id
    counter      integer not null default 0,     -- of the current token in its family
    token        text not null unique,           -- SHA-256 of the current token, hexadecimal
    previous     text,                           -- SHA-256 of the one that it replaced
    confirmed    bool not null default false,    -- the current token was used
    issued_at    timestamptz not null,           -- the current token
    expires_at   timestamptz not null,
    enrolled_at  timestamptz not null,
    enrolled_by  text not null,                  -- an address
    seen_at      timestamptz,                    -- the last heartbeat
    seen_by      text,                           -- the address it came from
    version      text,                           -- what the agent says that it is
    retold       integer not null default 0,     -- answers lost and given again
    refusals     integer not null default 0,
    ended        text,                           -- why it was cut off: revoked, re-used, ...
    ended_at     timestamptz
);
create index agents_by_seen on agents (seen_at);

-- What a render told, so that within the replay window the very same bytes may be told again.
alter table tokens add column rendered text;     -- SHA-256 of the rendered file, hexadecimal
alter table tokens add column replays integer not null default 0;
