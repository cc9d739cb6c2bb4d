-- The tables of `returns`, as a Supabase project has them. Applied at every start; changes nothing that is there.
-- Row level security is on and the service role reads by policy, so that a missing policy can be tested by dropping it.

do $$
declare
  role text;
begin
  foreach role in array array['anon', 'authenticated', 'service_role'] loop
    if not exists (select from pg_roles where rolname = role) then
      execute format('create role %I nologin', role);
    end if;
  end loop;
end $$;

create table if not exists public.ai_outputs (
  base_ts timestamptz primary key,
  text_type_a text,
  text_type_b text,
  embedding_a float4[] not null,
  embedding_b float4[] not null
);

create table if not exists public.simulations_10m (
  ts timestamptz primary key,
  trend_return_pct double precision,
  mean_revert_return_pct double precision,
  breakout_return_pct double precision,
  scalper_return_pct double precision,
  long_hold_return_pct double precision,
  short_hold_return_pct double precision
);

create table if not exists public.predictions (
  base_ts timestamptz primary key,
  target_ts timestamptz not null,
  model_run_ts text not null,
  pred jsonb not null
);

-- One row: whether the tables hold synthetic or real data, for the manifest.
create table if not exists public.ratchet_seed (
  only_row boolean primary key default true check (only_row),
  synthetic boolean not null,
  source text not null,
  seeded_at timestamptz not null default now()
);

grant usage on schema public to anon, authenticated, service_role;
grant all on all tables in schema public to anon, authenticated, service_role;

do $$
declare
  name text;
begin
  foreach name in array array['ai_outputs', 'simulations_10m', 'predictions', 'ratchet_seed'] loop
    execute format('alter table public.%I enable row level security', name);
    execute format('drop policy if exists service_role_all on public.%I', name);
    execute format(
      'create policy service_role_all on public.%I for all to service_role using (true) with check (true)', name);
  end loop;
end $$;
