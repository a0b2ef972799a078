-- What happened. Rows are only ever added.

create table events (
    id       bigint generated always as identity primary key,
    at       timestamptz not null,
    kind     text not null,                      -- token-issued, token-claimed, ...
    actor    text not null,                      -- an address, or an operator's name
    mac      text,
    token    uuid,                               -- tokens.id
    detail   text not null default '{}'          -- a JSON object
);
create index events_by_mac on events (mac, id);

create function events_stay() returns trigger language plpgsql as $$
begin
    raise exception 'audit events cannot be changed or deleted';
end
$$;

create trigger events_are_not_changed before update or delete on events
    for each row execute function events_stay();
create trigger events_are_not_truncated before truncate on events
    for each statement execute function events_stay();

-- Refusals of strangers, counted: anyone can cause them, so they must not grow without bound.
create table refusals (
    reason    text not null,
    mac       text not null,
    address   text not null,
    count     integer not null,
    first_at  timestamptz not null,
    last_at   timestamptz not null,
    primary key (reason, mac, address)
);
create index refusals_by_age on refusals (last_at);
