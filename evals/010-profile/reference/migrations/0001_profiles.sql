-- What users say of themselves. user_id is a user's id, of auth.
create table profiles (
    user_id uuid primary key,
    display_name text,
    bio text,
    updated_at timestamptz not null default current_timestamp
);
