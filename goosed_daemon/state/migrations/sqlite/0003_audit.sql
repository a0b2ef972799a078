-- What happened. Rows are only ever added.

create table events (
    id       integer primary key autoincrement,
    at       timestamptz not null,
    kind     text not null,                      -- token-issued, token-claimed, ...
    actor    text not null,                      -- an address, or an operator's name
    mac      text,
    token    uuid,                               -- tokens.id
    detail   text not null default '{}'          -- a JSON object
);
create index events_by_mac on events (mac, id);

create trigger events_are_not_changed before update on events
begin
    select raise(abort, 'audit events cannot be changed');
end;

create trigger events_are_not_deleted before delete on events
begin
    select raise(abort, 'audit events cannot be deleted');
end;

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
