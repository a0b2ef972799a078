-- Who may use the administration API, and for what. The secrets themselves are nowhere.

create table admin_tokens (
    id            uuid primary key,
    name          text not null,                 -- who bears it; the audit log's actor
    role          text not null,                 -- viewer, operator, admin
    token         text not null unique,          -- SHA-256 of the secret, hexadecimal
    created_at    timestamptz not null,
    created_by    text not null,
    expires_at    timestamptz not null,
    last_used_at  timestamptz,                   -- to the hour
    ended         text,                          -- why it ended: expired, revoked
    ended_at      timestamptz
);

-- A name stands for one token at a time.
create unique index admin_tokens_open on admin_tokens (name) where ended is null;
