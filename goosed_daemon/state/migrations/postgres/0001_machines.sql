-- Which machines may install themselves, and how often they may try.

create table machines (
    mac         text primary key,                -- aa:bb:cc:dd:ee:ff
    armed       bool not null default false,
    tries_left  integer not null default 0,      -- boot tokens that may still be issued
    changed_at  timestamptz not null,
    changed_by  text not null,                   -- who armed or disarmed it
    reason      text not null                    -- armed, disarmed, installed
);
