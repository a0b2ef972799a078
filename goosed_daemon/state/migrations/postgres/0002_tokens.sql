-- One-time boot tokens. The secret itself is nowhere: it is derived from the site's key and the id.

create table tokens (
    id          uuid primary key,
    mac         text not null,
    token       text not null unique,            -- SHA-256 of the secret, hexadecimal
    expires_at  timestamptz not null,
    used        bool not null default false,
    issued_at   timestamptz not null,
    issued_to   text not null,                   -- the address that asked, or the operator
    used_at     timestamptz,
    used_by     text,                            -- the address that rendered
    ended       text,                            -- why it ended unused: expired, revoked, ...
    ended_at    timestamptz,
    refusals    integer not null default 0       -- uses refused
);

-- At most one token of a machine can be waiting for its render.
create unique index tokens_open on tokens (mac) where not used and ended is null;
create index tokens_by_mac on tokens (mac, issued_at);
