-- Install receipts: what each render was made of, signed once its machine is ready.
-- goosed_daemon/receipts.py.

create table receipts (
    token       uuid primary key,                -- the boot token that was used for the render
    mac         text not null,
    claimed_at  timestamptz not null,
    origin      text not null,                   -- canonical JSON: what was rendered, from what
    tag         text not null,                   -- of `origin`, by the site's key
    workflow    uuid,                            -- this and the next three once it is ready
    attempt     integer,
    armed_at    timestamptz,
    ready_at    timestamptz,
    document    text,                            -- what was signed
    signature   text,                            -- armored
    signed_at   timestamptz
);
create index receipts_by_mac on receipts (mac, claimed_at);
create index receipts_to_sign on receipts (ready_at)
    where ready_at is not null and signature is null;
