-- Places among the machines that install at once, taken and waited for: goosed_daemon/places.py.

create table places (
    mac          text primary key,
    asked_at     timestamptz not null,           -- when it began to wait: the order of the queue
    seen_at      timestamptz not null,           -- when it asked last
    admitted_at  timestamptz                     -- since when it has its place; null while it waits
);
create index places_waiting on places (asked_at, mac) where admitted_at is null;
create index places_taken on places (admitted_at) where admitted_at is not null;
