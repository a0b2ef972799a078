-- Events on their way to subscribers: goosed_daemon/outbox.py. A row goes once it was delivered.

create table outbox (
    id         bigint generated always as identity primary key,
    message    text not null unique,             -- the event's id: subscribers drop duplicates by it
    mac        text not null,
    event      text not null,                    -- a step, or what ended an attempt
    at         timestamptz not null,             -- when it was seen
    trace      text not null,                    -- W3C trace id of the installation
    data       text not null,                    -- a JSON object
    queued_at  timestamptz not null,
    held_until timestamptz not null              -- a publisher has it in hand until then
);
create index outbox_by_age on outbox (queued_at);
