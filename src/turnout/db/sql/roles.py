"""What PostgreSQL's row-level security needs around the policies: roles, ``auth.uid()``, and one user's settings.

The names and signatures are Supabase's (https://supabase.com/docs/guides/database/postgres/row-level-security),
so policies move both ways. A database that has a schema ``auth`` is left alone: it is a hosted
Supabase project, or it went through here before. Settings are of the transaction only, since a
connection is handed on to the next user without being reset.
"""

from __future__ import annotations

from typing import LiteralString

import msgspec

from ..scope import Scope

SCOPED_S = 5.0

# A setting of a transaction that is over reads '', not NULL. Roles belong to all databases of a
# server, so another database may make them at this moment. Visitors get no table by default:
# a policy is printed together with its grants.
BOOTSTRAP = """
do $turnout$
declare
  wanted text;
begin
  perform pg_catalog.pg_advisory_xact_lock(7088513);  -- two processes may start at once
  if exists (select from pg_catalog.pg_namespace where nspname = 'auth') then
    return;
  end if;
  foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
    begin
      if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
        execute format('create role %I nologin noinherit %s', wanted,
                       case when wanted = 'service_role' then 'bypassrls' else '' end);
      end if;
    exception when duplicate_object or unique_violation then
      null;
    end;
    if not pg_catalog.pg_has_role(current_user, wanted, 'member') then
      execute format('grant %I to current_user', wanted);
    end if;
  end loop;
  create schema auth;
  create function auth.jwt() returns jsonb language sql stable as
    $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
  create function auth.uid() returns uuid language sql stable as
    $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
  create function auth.role() returns text language sql stable as
    $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role' $$;
  grant usage on schema auth, public to anon, authenticated, service_role;
  grant all on all tables in schema public to service_role;
  grant usage on all sequences in schema public to anon, authenticated, service_role;
  alter default privileges in schema public grant all on tables to service_role;
  alter default privileges in schema public grant usage on sequences to anon, authenticated, service_role;
end
$turnout$
"""

# "true" is what makes each of them end with the transaction.
_SCOPE = (
    "select set_config('role', '%s', true),"
    " set_config('request.jwt.claims', convert_from(decode('%s', 'hex'), 'UTF8'), true),"
    " set_config('statement_timeout', '%dms', true)"
)

# A row, if no policy holds for the login itself.
ABOVE: LiteralString = (
    "select rolname from pg_catalog.pg_roles where rolname = current_user and (rolsuper or rolbypassrls)"
)
# Tables whose rows a visitor may read or change although no policy is asked.
OPEN_TABLES: LiteralString = """
select c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join pg_catalog.pg_roles r
where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relrowsecurity and r.rolname = 'anon'
  and pg_catalog.has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')
order by c.relname
"""


def enter(begin: str, scope: Scope) -> str:
    """*begin*, and from then to the end of the transaction the connection is *scope*'s.

    Two statements in one round trip, which only the protocol without parameters allows. So there are
    no values in it that could end a string: a role is a plain name, and the claims are hexadecimal.
    """
    return f"{begin}; {_SCOPE % (scope.role, msgspec.json.encode(scope.claims).hex(), SCOPED_S * 1000)}"
