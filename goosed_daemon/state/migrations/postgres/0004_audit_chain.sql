-- The chain that makes a later change of the audit log show: goosed_daemon/audit_chain.py.

-- A seal closes a batch of events; its digest covers them and the seal before.
create table seals (
    number     integer primary key,              -- 1, 2, 3, ...
    sealed_at  timestamptz not null,
    events     integer not null,                 -- how many it covers
    previous   text not null,                    -- the digest of the seal before; zeros for the first
    digest     text not null                     -- SHA-256, hexadecimal
);

-- Which seal covers an event.
create table sealed (
    event   bigint primary key,                  -- events.id
    seal    integer not null references seals (number),
    digest  text not null                        -- of the event, SHA-256, hexadecimal
);
create index sealed_by_seal on sealed (seal, event);

create function seals_stay() returns trigger language plpgsql as $$
begin
    raise exception 'seals of the audit log cannot be changed or deleted';
end
$$;

create trigger seals_are_not_changed before update or delete or truncate on seals
    for each statement execute function seals_stay();
create trigger sealed_is_not_changed before update or delete or truncate on sealed
    for each statement execute function seals_stay();
