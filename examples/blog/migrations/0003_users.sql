create table users (
    id uuid primary key not null default (gen_random_uuid()),
    email text not null unique,
    name text not null,
    password_hash text,
    created_at timestamptz not null default current_timestamp
);

create table sessions (
    token_hash text primary key not null,
    user_id uuid not null references users (id) on delete cascade,
    expires_at timestamptz not null
);
create index sessions_user_id on sessions (user_id);
