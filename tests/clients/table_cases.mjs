// Tables through @supabase/supabase-js: named cases against a server that runs.
//
// Run:     node table_cases.mjs '{"url": …, "engine": "sqlite" | "postgres", "ada": …, "bob": …}'
// Prints:  one JSON object per case: {"name", "ok"}, {"name", "ok": false, "error"}, or {"name", "skipped"}.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../js/package.json', import.meta.url))
const { createClient } = require('@supabase/supabase-js')

const { url, engine, ada, bob } = JSON.parse(process.argv[2])
const cases = []
const test = (name, run) => cases.push({ name, run })
const only = (which, name, run) => cases.push({ name, run: engine === which ? run : null })

function client(key) {
  return createClient(url, key, {
    auth: { autoRefreshToken: false, persistSession: false },
    realtime: { transport: class {} }, // Node 20 has no WebSocket, and nothing here opens one
  })
}

const db = client('service_role')
const same = (found, data) => {
  assert.equal(found.error, null)
  assert.deepEqual(found.data, data)
}
const refused = (found, code, status) => {
  assert.equal(found.data, null)
  assert.equal(found.error.code, code)
  assert.equal(found.status, status)
}
const kinds = async (kind) => {
  const { data } = await db.from('notes').select('value').eq('kind', kind).order('id')
  return data.map((row) => row.value)
}

// --- reading

test('select gives rows and 200', async () => {
  const found = await db.from('labels').select().order('id')
  same(found, [{ id: 1, name: 'red' }, { id: 2, name: 'blue' }])
  assert.equal(found.status, 200)
})
test('an alias and a cast', async () => {
  same(await db.from('posts').select('n:views::text').eq('id', 1), [{ n: '10' }])
})
test('a JSON path', async () => {
  same(await db.from('users').select('data->city->>name').eq('id', 2), [{ name: 'Rome' }])
})
test('eq, neq, gt, gte, lt, lte', async () => {
  same(await db.from('posts').select('id').eq('views', 10), [{ id: 1 }])
  same(await db.from('labels').select('id').neq('name', 'red'), [{ id: 2 }])
  same(await db.from('posts').select('id').gt('views', 20), [{ id: 3 }])
  same(await db.from('posts').select('id').gte('views', 30), [{ id: 3 }])
  same(await db.from('posts').select('id').lt('views', 10), [{ id: 4 }])
  same(await db.from('posts').select('id').lte('views', 0), [{ id: 4 }])
})
test('like and ilike', async () => {
  same(await db.from('posts').select('id').like('title', 'Al%'), [{ id: 1 }])
  same(await db.from('posts').select('id').ilike('title', '%GAM%'), [{ id: 3 }])
})
test('likeAnyOf and likeAllOf', async () => {
  same(await db.from('posts').select('id').likeAnyOf('title', ['Al%', 'Ga%']).order('id'), [{ id: 1 }, { id: 3 }])
  same(await db.from('posts').select('id').likeAllOf('title', ['A%', '%a']), [{ id: 1 }])
})
test('ilikeAnyOf', async () => {
  same(await db.from('posts').select('id').ilikeAnyOf('title', ['al%', 'zz%']), [{ id: 1 }])
})
test('is', async () => {
  same(await db.from('users').select('id').is('email', null), [{ id: 3 }])
  same(await db.from('posts').select('id').is('published', true).order('id'), [{ id: 1 }, { id: 3 }])
})
test('isDistinct', async () => {
  same(await db.from('users').select('id').isDistinct('email', 'ada@example.org').order('id'), [{ id: 2 }, { id: 3 }])
})
test('in, with reserved characters', async () => {
  same(await db.from('users').select('id').in('name', ['Cyd, Jr. (x)', 'Ada']).order('id'), [{ id: 1 }, { id: 3 }])
})
test('notIn', async () => {
  same(await db.from('labels').select('id').notIn('id', [1, 9]), [{ id: 2 }])
})
test('contains, containedBy and overlaps', async () => {
  same(await db.from('posts').select('id').contains('tags', ['b', 'c']), [{ id: 2 }])
  same(await db.from('posts').select('id').containedBy('tags', ['a', 'b']).order('id'), [{ id: 1 }, { id: 3 }])
  same(await db.from('posts').select('id').overlaps('tags', ['c']), [{ id: 2 }])
})
test('contains of JSON', async () => {
  same(await db.from('posts').select('id').contains('meta', { deep: { x: 'y' } }), [{ id: 1 }])
})
test('match, not and filter', async () => {
  same(await db.from('posts').select('id').match({ views: 10, published: true }), [{ id: 1 }])
  same(await db.from('labels').select('id').not('name', 'eq', 'red'), [{ id: 2 }])
  same(await db.from('posts').select('id').filter('views', 'gt', 20), [{ id: 3 }])
})
test('or, with and inside', async () => {
  same(
    await db.from('posts').select('id').or('views.eq.0,and(views.gt.5,views.lt.15)').order('id'),
    [{ id: 1 }, { id: 4 }],
  )
})
test('or within a relation', async () => {
  same(
    await db.from('posts').select('comments(id)').eq('id', 1).or('id.eq.2,body.eq.x', { referencedTable: 'comments' }),
    [{ comments: [{ id: 2 }] }],
  )
})
test('order, with nulls', async () => {
  same(
    await db.from('users').select('id').order('score', { ascending: false, nullsFirst: true }),
    [{ id: 3 }, { id: 2 }, { id: 1 }],
  )
})
test('order by a related column', async () => {
  same(
    await db.from('comments').select('id, posts(title)').order('posts(title)', { ascending: false }).order('id').limit(1),
    [{ id: 3, posts: { title: 'Beta 50%' } }],
  )
})
test('limit and range', async () => {
  same(await db.from('posts').select('id').order('id').limit(1), [{ id: 1 }])
  same(await db.from('posts').select('id').order('id').range(1, 2), [{ id: 2 }, { id: 3 }])
})
test('relations up, down and through', async () => {
  same(
    await db.from('posts').select('title, author:users!author_id(name), comments(body), labels(name)').eq('id', 2),
    [{ title: 'Beta 50%', author: { name: 'Ada' }, comments: [{ body: null }], labels: [{ name: 'blue' }] }],
  )
})
test('an inner relation', async () => {
  same(await db.from('labels').select('name, posts!inner(id)').eq('posts.id', 2), [{ name: 'blue', posts: [{ id: 2 }] }])
})
test('order and limit within a relation', async () => {
  same(
    await db.from('posts').select('comments(id)').eq('id', 1)
      .order('id', { referencedTable: 'comments', ascending: false }).limit(1, { referencedTable: 'comments' }),
    [{ comments: [{ id: 2 }] }],
  )
})
test('a spread and a count of a relation', async () => {
  same(await db.from('comments').select('id, ...posts(title)').eq('id', 1), [{ id: 1, title: 'Alpha' }])
  same(await db.from('posts').select('comments(count)').eq('id', 1), [{ comments: [{ count: 2 }] }])
})
test('aggregates', async () => {
  same(await db.from('posts').select('views.sum(), top:views.max()'), [{ sum: 60, top: 30 }])
})
test('an exact count', async () => {
  const found = await db.from('posts').select('id', { count: 'exact' }).order('id').limit(2)
  same(found, [{ id: 1 }, { id: 2 }])
  assert.equal(found.count, 4)
  assert.equal(found.status, 206)
})
test('a head', async () => {
  const found = await db.from('posts').select('*', { count: 'exact', head: true })
  same(found, null)
  assert.equal(found.count, 4)
})
test('single and maybeSingle', async () => {
  same(await db.from('labels').select('name').eq('id', 1).single(), { name: 'red' })
  same(await db.from('labels').select('name').eq('id', 99).maybeSingle(), null)
})
test('single of no row', async () => {
  refused(await db.from('labels').select().eq('id', 99).single(), 'PGRST116', 406)
})
test('maybeSingle of several rows', async () => {
  const { error } = await db.from('labels').select().maybeSingle()
  assert.equal(error.code, 'PGRST116')
})
test('csv', async () => {
  same(await db.from('labels').select().order('id').csv(), 'id,name\n1,red\n2,blue')
})
test('nulls stripped', async () => {
  same(await db.from('users').select('id, email').eq('id', 3).stripNulls(), [{ id: 3 }])
})
test('an abort signal and a throw', async () => {
  await assert.rejects(async () => await db.from('nope').select().throwOnError(), { code: 'PGRST205' })
})

// --- errors

test('an unknown table, column and relation', async () => {
  refused(await db.from('nope').select(), 'PGRST205', 404)
  refused(await db.from('auth_secrets').select(), 'PGRST205', 404)
  refused(await db.from('posts').select('nope'), '42703', 400)
  refused(await db.from('posts').select('nope(*)'), 'PGRST200', 400)
})
test('an ambiguous relation names the choices', async () => {
  const found = await db.from('posts').select('users(*)')
  refused(found, 'PGRST201', 300)
  assert.equal(found.error.details.length, 2)
})
test('a value of the wrong type', async () => {
  refused(await db.from('posts').select().eq('views', 'many'), '22P02', 400)
})
test('a broken select', async () => {
  refused(await db.from('posts').select('id,(('), 'PGRST100', 400)
})
test('a schema that is not there', async () => {
  refused(await db.schema('private').from('posts').select(), 'PGRST106', 406)
})
test('a range beyond the end of a count', async () => {
  refused(await db.from('labels').select('*', { count: 'exact' }).range(50, 60), 'PGRST103', 416)
})

// --- writing: every case has rows of its own kind

test('an insert is 201 without a body', async () => {
  const found = await db.from('notes').insert({ kind: 'js-quiet' })
  same(found, null)
  assert.equal(found.status, 201)
  assert.deepEqual(await kinds('js-quiet'), [7])
})
test('an insert with select', async () => {
  const { data, status } = await db.from('notes').insert({ kind: 'js-back' }).select('kind, value').single()
  assert.deepEqual(data, { kind: 'js-back', value: 7 })
  assert.equal(status, 201)
})
test('an insert of several, with a key left out', async () => {
  await db.from('notes').insert([{ kind: 'js-gap', value: 1 }, { kind: 'js-gap' }])
  assert.deepEqual(await kinds('js-gap'), [1, null])
})
test('an insert of several, with defaults', async () => {
  await db.from('notes').insert([{ kind: 'js-filled', value: 1 }, { kind: 'js-filled' }], { defaultToNull: false })
  assert.deepEqual(await kinds('js-filled'), [1, 7])
})
test('an insert that counts', async () => {
  const { count } = await db.from('notes').insert([{ kind: 'js-count' }, { kind: 'js-count' }], { count: 'exact' })
  assert.equal(count, 2)
})
test('a duplicate is 409', async () => {
  refused(await db.from('labels').insert({ id: 1, name: 'x' }), '23505', 409)
})
test('an upsert', async () => {
  for (const value of [1, 2]) {
    await db.from('notes').upsert({ slug: 'js-slug', kind: 'js-up', value }, { onConflict: 'slug' })
  }
  assert.deepEqual(await kinds('js-up'), [2])
})
test('an upsert that ignores duplicates', async () => {
  for (const value of [1, 2]) {
    await db.from('notes').upsert(
      { slug: 'js-left', kind: 'js-left', value }, { onConflict: 'slug', ignoreDuplicates: true },
    )
  }
  assert.deepEqual(await kinds('js-left'), [1])
})
test('an upsert with defaults resets what a row leaves out', async () => {
  const upsert = (rows) => db.from('notes').upsert(rows, { onConflict: 'slug', defaultToNull: false })
  await upsert([{ slug: 'js-d1', kind: 'js-def', value: 1 }, { slug: 'js-d2', kind: 'js-def', value: 2 }])
  await upsert([{ slug: 'js-d1', kind: 'js-def' }, { slug: 'js-d2', kind: 'js-def', value: 3 }])
  assert.deepEqual(await kinds('js-def'), [7, 3])
})
test('an update is 204 without a body', async () => {
  await db.from('notes').insert([{ kind: 'js-new' }, { kind: 'js-new' }])
  const found = await db.from('notes').update({ value: 9 }, { count: 'exact' }).eq('kind', 'js-new')
  same(found, null)
  assert.equal(found.status, 204)
  assert.equal(found.count, 2)
  assert.deepEqual(await kinds('js-new'), [9, 9])
})
test('an update with select', async () => {
  await db.from('notes').insert({ kind: 'js-sel' })
  same(await db.from('notes').update({ value: 5 }).eq('kind', 'js-sel').select('value'), [{ value: 5 }])
})
test('an update of several with single is undone', async () => {
  await db.from('notes').insert([{ kind: 'js-undo' }, { kind: 'js-undo' }])
  refused(await db.from('notes').update({ value: 1 }).eq('kind', 'js-undo').select().single(), 'PGRST116', 406)
  assert.deepEqual(await kinds('js-undo'), [7, 7])
})
test('a delete with select', async () => {
  await db.from('notes').insert({ kind: 'js-del' })
  same(await db.from('notes').delete().eq('kind', 'js-del').select('kind'), [{ kind: 'js-del' }])
  assert.deepEqual(await kinds('js-del'), [])
})
test('a delete of several with single is undone', async () => {
  await db.from('notes').insert([{ kind: 'js-keep' }, { kind: 'js-keep' }])
  refused(await db.from('notes').delete().eq('kind', 'js-keep').select().single(), 'PGRST116', 406)
  assert.deepEqual(await kinds('js-keep'), [7, 7])
})
test('a delete or update of everything', async () => {
  refused(await db.from('notes').delete(), '21000', 400)
  refused(await db.from('notes').update({ value: 1 }), '21000', 400)
})
test('maxAffected', async () => {
  await db.from('notes').insert([{ kind: 'js-max' }, { kind: 'js-max' }])
  refused(await db.from('notes').delete().eq('kind', 'js-max').maxAffected(1), 'PGRST124', 400)
  assert.deepEqual(await kinds('js-max'), [7, 7])
})
test('a rollback', async () => {
  same(await db.from('notes').insert({ kind: 'js-roll' }).select('kind').rollback(), [{ kind: 'js-roll' }])
  assert.deepEqual(await kinds('js-roll'), [])
})

// --- who asks

test('a visitor sees what is published, and counts no more', async () => {
  const found = await client('anon').from('posts').select('id', { count: 'exact' }).order('id')
  same(found, [{ id: 1 }, { id: 3 }])
  assert.equal(found.count, 2)
})
test('a user sees what is his', async () => {
  same(await client(`authenticated:${ada}`).from('diary').select('entry'), [{ entry: 'of Ada' }])
  same(await client(`authenticated:${bob}`).from('diary').select('entry'), [{ entry: 'of Bob' }])
})
test('a user writes only for himself', async () => {
  refused(await client(`authenticated:${ada}`).from('diary').insert({ owner: bob, entry: 'x' }), '42501', 403)
  refused(await client('anon').from('diary').insert({ owner: bob, entry: 'x' }), '42501', 401)
})

// --- functions

only('sqlite', 'SQLite refuses a call by name', async () => {
  refused(await db.rpc('add_them', { a: 1, b: 2 }), 'PGRST202', 404)
})
only('postgres', 'a call', async () => {
  same(await db.rpc('add_them', { a: 1, b: 2 }), 3)
})
only('postgres', 'a call by get', async () => {
  same(await db.rpc('add_them', { a: 1, b: 2 }, { get: true }), 3)
})
only('postgres', 'a call that gives rows', async () => {
  same(await db.rpc('popular', { at_least: 10 }).select('id').eq('published', true), [{ id: 1 }, { id: 3 }])
})
only('postgres', 'a call that counts', async () => {
  const { count } = await db.rpc('popular', { at_least: 10 }, { head: true, count: 'exact' })
  assert.equal(count, 3)
})
only('postgres', 'a call with single', async () => {
  same(await db.rpc('popular', { at_least: 10 }).eq('id', 1).select('id').single(), { id: 1 })
})
only('postgres', 'a call of nothing', async () => {
  const found = await db.rpc('write_note', { word: 'js-void' })
  same(found, null)
  assert.equal(found.status, 204)
})
only('postgres', 'a call without its arguments', async () => {
  refused(await db.rpc('add_them', { a: 1 }), 'PGRST202', 404)
})
only('postgres', 'a status of the function', async () => {
  refused(await db.rpc('fail'), 'PT418', 418)
})

for (const { name, run } of cases) {
  let outcome = { name, ok: true }
  if (run === null) outcome = { name, skipped: true }
  else {
    try {
      await run()
    } catch (error) {
      outcome = { name, ok: false, error: String(error.stack ?? error) }
    }
  }
  console.log(JSON.stringify(outcome))
}
process.exit(0)
