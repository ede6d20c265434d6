"""What PostgreSQL's row-level security needs around the policies: roles, ``auth.uid()``, and one user's settings.

The names and signatures are Supabase's (https://supabase.com/docs/guides/database/postgres/row-level-security),
so policies move both ways. A database that has a schema ``auth`` is left alone: it is a hosted
Supabase project, or it went through here before. Settings are of the transaction only, since a
connection is handed on to the next user without being reset.
"""

from __future__ import annotations

from typing import Literal, LiteralString

import msgspec

from ..errors import error
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
    "select set_config('role', {}, true), set_config('request.jwt.claims', {}, true),"
    f" set_config('statement_timeout', '{SCOPED_S * 1000:.0f}ms', true)"
)
# What a connection is told once, since its planning takes longer than its running.
_PREPARE = f"prepare turnout_enter(text, text) as {_SCOPE.format('$1', '$2')}"

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


def enter(begin: str, scope: Scope, prepared: Literal["before", "now", "never"]) -> str:
    """*begin*, and from then to the end of the transaction the connection is *scope*'s.

    All in one round trip, which only the protocol without parameters allows. So there is nothing in it
    that could end a string: a role is a plain name, and in the claims every quote and backslash is
    written as what stands for it.

    Args:
        prepared: Whether the connection has been here *before*, comes back and may keep a statement from
            *now* on, or is another each time, behind a pooler.
    """
    if scope.role == "none":  # which to PostgreSQL is no role: the login itself
        raise error("22023", "'none' is not the name of a role", status=403)
    role, claims = f"'{scope.role}'", _literal(msgspec.json.encode(scope.claims).decode())
    if prepared == "never":
        return f"{begin}; {_SCOPE.format(role, claims)}"
    telling = f"{_PREPARE}; " if prepared == "now" else ""
    return f"{begin}; {telling}execute turnout_enter({role}, {claims})"


def _literal(json: str) -> str:
    """*json* as a string in SQL, the same whatever ``standard_conforming_strings`` says."""
    kept = json.replace("'", "\\u0027")  # inside JSON's own strings, as it has quotes nowhere else
    return "E'" + kept.replace("\\", "\\\\") + "'"
