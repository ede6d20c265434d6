-- What users have uploaded; the bytes are in data/uploads, under the id. owner_id is a user's id, of auth.
create table uploads (
    id uuid primary key,
    owner_id uuid not null,
    name text not null,
    media_type text not null,
    size bigint not null,
    created_at timestamptz not null default current_timestamp
);

create index uploads_owner_id on uploads (owner_id, created_at);
