// Users and sessions through @supabase/supabase-js: named cases against a server that runs.
//
// Run:     node auth_cases.mjs '{"url": …, "anon": …, "service": …, "mail": {"url": …, "anon": …, "service": …}}'
// Prints:  one JSON object per case: {"name", "ok"} or {"name", "ok": false, "error"}.
//
// The first site confirms addresses by itself, the one below "mail" asks for it.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../js/package.json', import.meta.url))
const { createClient } = require('@supabase/supabase-js')

const open = JSON.parse(process.argv[2])
const mail = open.mail
const PASSWORD = 'correct horse'
const cases = []

const test = (name, run) => cases.push({ name, run })
const someone = () => `${randomUUID().slice(0, 12)}@example.com`

function storage() {
  const items = new Map()
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  }
}

function client(site = open, key = site.anon, flowType = 'implicit') {
  return createClient(site.url, key, {
    auth: { autoRefreshToken: false, detectSessionInUrl: false, flowType, storage: storage() },
    realtime: { transport: class {} }, // Node 20 has no WebSocket, and nothing here opens one
  }).auth
}

const admin = (site = open) => client(site, site.service).admin

async function signedUp(auth = client(), email = someone()) {
  const { data, error } = await auth.signUp({ email, password: PASSWORD })
  assert.equal(error, null)
  return { auth, email, session: data.session, user: data.user }
}

async function made(site, email = someone()) {
  const { data, error } = await admin(site).createUser({ email, password: PASSWORD, email_confirm: true })
  assert.equal(error, null)
  return { email, user: data.user }
}

async function linkOf(site, params) {
  const { data, error } = await admin(site).generateLink(params)
  assert.equal(error, null)
  return data
}

function refused({ error }, code, status) {
  assert.ok(error, `refused with ${code}`)
  assert.equal(error.code, code)
  if (status) assert.equal(error.status, status)
  return error
}

async function opened(link) {
  const response = await fetch(link, { redirect: 'manual' })
  assert.equal(response.status, 303)
  const place = new URL(response.headers.get('location'))
  return { place, query: place.searchParams, fragment: new URLSearchParams(place.hash.slice(1)) }
}

// -- signing up

test('signing up gives a user and a session', async () => {
  const { user, session, email } = await signedUp()
  assert.equal(user.email, email)
  assert.equal(user.phone, '')
  assert.equal(session.token_type, 'bearer')
  assert.equal(session.expires_in, 3600)
})

test('signing up keeps metadata', async () => {
  const { data } = await client().signUp({ email: someone(), password: PASSWORD, options: { data: { name: 'Ada' } } })
  assert.equal(data.user.user_metadata.name, 'Ada')
})

test('a known address cannot sign up again', async () => {
  const { email } = await signedUp()
  const error = refused(await client().signUp({ email, password: PASSWORD }), 'user_already_exists', 422)
  assert.equal(error.message, 'User already registered')
})

test('a short password is weak', async () => {
  const { error } = await client().signUp({ email: someone(), password: '123' })
  assert.equal(error.name, 'AuthWeakPasswordError')
  assert.deepEqual(error.reasons, ['length'])
})

test('a malformed address is refused', async () => {
  refused(await client().signUp({ email: 'nobody', password: PASSWORD }), 'validation_failed', 400)
})

test('a phone cannot sign up', async () => {
  refused(await client().signUp({ phone: '15551234567', password: PASSWORD }), 'phone_provider_disabled', 400)
})

test('an anonymous user has a session', async () => {
  const { data, error } = await client().signInAnonymously({ options: { data: { cart: 1 } } })
  assert.equal(error, null)
  assert.equal(data.user.is_anonymous, true)
  assert.equal(data.user.user_metadata.cart, 1)
})

// -- signing in and on

test('the right password signs in', async () => {
  const { email } = await signedUp()
  const { data, error } = await client().signInWithPassword({ email, password: PASSWORD })
  assert.equal(error, null)
  assert.equal(data.user.email, email)
})

test('a wrong password and an unknown user are told the same', async () => {
  const { email } = await signedUp()
  const wrong = refused(await client().signInWithPassword({ email, password: 'not this' }), 'invalid_credentials', 400)
  const unknown = refused(
    await client().signInWithPassword({ email: someone(), password: 'not this' }),
    'invalid_credentials',
    400
  )
  assert.equal(wrong.message, unknown.message)
})

test('a session is kept in the storage', async () => {
  const { auth, session } = await signedUp()
  const { data } = await auth.getSession()
  assert.equal(data.session.access_token, session.access_token)
})

test('a session is refreshed with a new token', async () => {
  const { auth, session } = await signedUp()
  const { data, error } = await auth.refreshSession()
  assert.equal(error, null)
  assert.notEqual(data.session.refresh_token, session.refresh_token)
})

test('an unknown refresh token is refused', async () => {
  refused(await client().refreshSession({ refresh_token: 'nobody-has-this' }), 'refresh_token_not_found', 400)
})

test('a client that lost the answer gets it again', async () => {
  const { session } = await signedUp()
  const first = await client().refreshSession({ refresh_token: session.refresh_token })
  const again = await client().refreshSession({ refresh_token: session.refresh_token })
  assert.equal(again.error, null)
  assert.equal(again.data.session.refresh_token, first.data.session.refresh_token)
})

test('many refreshes at once leave one session that lives', async () => {
  const { session } = await signedUp()
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => client().refreshSession({ refresh_token: session.refresh_token }))
  )
  assert.ok(answers.every(({ error }) => error === null))
  assert.equal(new Set(answers.map(({ data }) => data.session.refresh_token)).size, 1)
})

test('a session can be set from its tokens', async () => {
  const { session, user } = await signedUp()
  const { data, error } = await client().setSession(session)
  assert.equal(error, null)
  assert.equal(data.user.id, user.id)
})

test('the user of a token is known', async () => {
  const { session, email } = await signedUp()
  const { data } = await client().getUser(session.access_token)
  assert.equal(data.user.email, email)
})

test('a bad token is 403', async () => {
  refused(await client().getUser('nonsense'), 'bad_jwt', 403)
})

test('claims are verified without asking for the user', async () => {
  const { auth, email } = await signedUp()
  const { data, error } = await auth.getClaims()
  assert.equal(error, null)
  assert.equal(data.claims.email, email)
  assert.equal(data.header.alg, 'ES256')
})

test('a changed token has no claims', async () => {
  const { auth, session } = await signedUp()
  const [head, payload] = session.access_token.split('.')
  const { error } = await auth.getClaims(`${head}.${payload}.${'A'.repeat(86)}`)
  assert.equal(error.name, 'AuthInvalidJwtError')
})

test('a user has an identity', async () => {
  const { auth, email } = await signedUp()
  const { data } = await auth.getUserIdentities()
  assert.equal(data.identities.length, 1)
  assert.equal(data.identities[0].identity_data.email, email)
})

test('somebody who listens hears of signing in and out', async () => {
  const heard = []
  const auth = client()
  auth.onAuthStateChange((event) => heard.push(event))
  await signedUp(auth)
  await auth.signOut()
  assert.deepEqual(heard.filter((event) => event !== 'INITIAL_SESSION'), ['SIGNED_IN', 'SIGNED_OUT'])
})

// -- changing oneself

test('metadata is merged', async () => {
  const { auth } = await signedUp()
  await auth.updateUser({ data: { a: 1, b: 2 } })
  const { data } = await auth.updateUser({ data: { b: 3 } })
  assert.equal(data.user.user_metadata.a, 1)
  assert.equal(data.user.user_metadata.b, 3)
})

test('a new password replaces the old one', async () => {
  const { auth, email } = await signedUp()
  assert.equal((await auth.updateUser({ password: 'another one' })).error, null)
  refused(await client().signInWithPassword({ email, password: PASSWORD }), 'invalid_credentials')
  assert.equal((await client().signInWithPassword({ email, password: 'another one' })).error, null)
})

test('the same password is no new one', async () => {
  const { auth } = await signedUp()
  refused(await auth.updateUser({ password: PASSWORD }), 'same_password', 422)
})

test('nobody changes anything without a session', async () => {
  const { error } = await client().updateUser({ data: {} })
  assert.equal(error.name, 'AuthSessionMissingError')
})

// -- signing out

test('a token ends with its session', async () => {
  const { auth, session } = await signedUp()
  assert.equal((await auth.signOut()).error, null)
  const { error } = await client().getUser(session.access_token)
  assert.equal(error.name, 'AuthSessionMissingError') // session_not_found
})

test('a local sign out leaves the others', async () => {
  const { auth, email } = await signedUp()
  const other = client()
  await other.signInWithPassword({ email, password: PASSWORD })
  await auth.signOut({ scope: 'local' })
  assert.equal((await other.getUser()).error, null)
})

test('signing out the others leaves this one', async () => {
  const { auth, email } = await signedUp()
  const other = client()
  await other.signInWithPassword({ email, password: PASSWORD })
  await auth.signOut({ scope: 'others' })
  assert.equal((await auth.getUser()).error, null)
  assert.ok((await other.getUser()).error)
})

test('an administrator signs a user out everywhere', async () => {
  const { auth, session } = await signedUp()
  assert.equal((await admin().signOut(session.access_token)).error, null)
  assert.ok((await auth.getUser()).error)
})

// -- mails

test('an unconfirmed user has no session', async () => {
  const { session, email } = await signedUp(client(mail))
  assert.equal(session, null)
  refused(await client(mail).signInWithPassword({ email, password: PASSWORD }), 'email_not_confirmed', 400)
})

test('a code confirms', async () => {
  const email = someone()
  const { properties } = await linkOf(mail, { type: 'signup', email, password: PASSWORD })
  const { data, error } = await client(mail).verifyOtp({ email, token: properties.email_otp, type: 'signup' })
  assert.equal(error, null)
  assert.equal(data.session.user.email, email)
})

test('a code works once', async () => {
  const email = someone()
  const { properties } = await linkOf(mail, { type: 'signup', email, password: PASSWORD })
  const given = { email, token: properties.email_otp, type: 'signup' }
  assert.equal((await client(mail).verifyOtp(given)).error, null)
  refused(await client(mail).verifyOtp(given), 'otp_expired', 403)
})

test('the hash of a link signs in', async () => {
  const { email } = await made(mail)
  const { properties } = await linkOf(mail, { type: 'magiclink', email })
  const { data, error } = await client(mail).verifyOtp({ token_hash: properties.hashed_token, type: 'magiclink' })
  assert.equal(error, null)
  assert.equal(data.user.email, email)
})

test('a link leads on with a session', async () => {
  const { email } = await made(mail)
  const redirectTo = 'http://localhost:3000/welcome'
  const { properties } = await linkOf(mail, { type: 'magiclink', email, options: { redirectTo } })
  const { place, fragment } = await opened(properties.action_link)
  assert.equal(place.origin + place.pathname, redirectTo)
  assert.ok(fragment.get('access_token'))
  assert.ok(fragment.get('refresh_token'))
})

test('a link works once', async () => {
  const { email } = await made(mail)
  const { properties } = await linkOf(mail, { type: 'recovery', email })
  await opened(properties.action_link)
  const { fragment } = await opened(properties.action_link)
  assert.equal(fragment.get('error_code'), 'otp_expired')
})

test('a link leads nowhere that is not allowed', async () => {
  const { email } = await made(mail)
  const options = { redirectTo: 'https://evil.example/' }
  const { properties } = await linkOf(mail, { type: 'recovery', email, options })
  const { place } = await opened(properties.action_link)
  assert.notEqual(place.host, 'evil.example')
})

test('nothing is told about unknown addresses', async () => {
  const { data, error } = await client(mail).resetPasswordForEmail(someone())
  assert.equal(error, null)
  assert.deepEqual(data, {})
  assert.equal((await client(mail).resend({ type: 'signup', email: someone() })).error, null)
})

test('a recovery leads to a new password', async () => {
  const { email } = await made(mail)
  const { properties } = await linkOf(mail, { type: 'recovery', email })
  const auth = client(mail)
  await auth.verifyOtp({ email, token: properties.email_otp, type: 'recovery' })
  assert.equal((await auth.updateUser({ password: 'a new one' })).error, null)
  assert.equal((await client(mail).signInWithPassword({ email, password: 'a new one' })).error, null)
})

test('a code without its verifier is worth nothing', async () => {
  const auth = client(mail, mail.anon, 'pkce')
  const { error } = await auth.exchangeCodeForSession('some-code')
  assert.equal(error.code, 'pkce_code_verifier_not_found')
})

// -- administrators

test('an administrator creates, reads, changes and deletes a user', async () => {
  const { email, user } = await made(open)
  assert.equal((await admin().getUserById(user.id)).data.user.email, email)
  const changed = await admin().updateUserById(user.id, { app_metadata: { plan: 'pro' } })
  assert.equal(changed.data.user.app_metadata.plan, 'pro')
  assert.equal((await admin().deleteUser(user.id)).error, null)
  refused(await admin().getUserById(user.id), 'user_not_found', 404)
})

test('users are listed by page, with their number', async () => {
  for (let i = 0; i < 3; i++) await made(open)
  const { data, error } = await admin().listUsers({ page: 1, perPage: 2 })
  assert.equal(error, null)
  assert.equal(data.users.length, 2)
  assert.equal(data.nextPage, 2)
  assert.ok(data.total >= 3)
  assert.ok(data.lastPage >= 1) // of two digits the client reads one
})

test('a page that is none is refused', async () => {
  refused(await admin().listUsers({ page: -1 }), 'validation_failed', 400)
})

test('a banned user is out', async () => {
  const { auth, email, user } = await signedUp()
  await admin().updateUserById(user.id, { ban_duration: '1h' })
  assert.equal((await auth.getUser()).error.name, 'AuthSessionMissingError')
  refused(await client().signInWithPassword({ email, password: PASSWORD }), 'user_banned', 400)
})

test('an invited user has a moment of invitation', async () => {
  const { data, error } = await admin(mail).inviteUserByEmail(someone())
  assert.equal(error, null)
  assert.ok(data.user.invited_at)
})

test('the public key is no administrator', async () => {
  refused(await client().admin.listUsers(), 'not_admin', 403)
})

test('no key at all is refused', async () => {
  const response = await fetch(`${open.url}/auth/v1/user`)
  assert.equal(response.status, 401)
})

// -- providers

test('the way to a provider is open to browsers', async () => {
  const { data } = await client().signInWithOAuth({ provider: 'google', options: { skipBrowserRedirect: true } })
  const response = await fetch(data.url, { redirect: 'manual' })
  assert.equal(response.status, 302)
  assert.equal(new URL(response.headers.get('location')).hostname, 'accounts.google.com')
})

test('an identity cannot be taken away when it is the last', async () => {
  const { auth } = await signedUp()
  const { data } = await auth.getUserIdentities()
  assert.ok((await auth.unlinkIdentity(data.identities[0])).error)
})

// -- second factors

test('a factor is enrolled, listed and removed', async () => {
  const { auth } = await signedUp()
  const { data, error } = await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' })
  assert.equal(error, null)
  assert.match(data.totp.uri, /^otpauth:\/\/totp\//)
  assert.match(data.totp.qr_code, /^data:image\/svg\+xml;utf-8,<svg/)
  assert.equal((await auth.mfa.listFactors()).data.all.length, 1)
  assert.equal((await auth.mfa.unenroll({ factorId: data.id })).error, null)
  assert.equal((await auth.mfa.listFactors()).data.all.length, 0)
})

test('a wrong code proves nothing', async () => {
  const { auth } = await signedUp()
  const { data } = await auth.mfa.enroll({ factorType: 'totp' })
  refused(await auth.mfa.challengeAndVerify({ factorId: data.id, code: 'abcdef' }), 'mfa_verification_failed', 422)
})

test('two factors have two names', async () => {
  const { auth } = await signedUp()
  await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' })
  refused(await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' }), 'mfa_factor_name_conflict', 422)
})

if (process.argv[3] === 'list') {
  for (const { name } of cases) console.log(JSON.stringify({ name }))
} else {
  for (const { name, run } of cases) {
    try {
      await run()
      console.log(JSON.stringify({ name, ok: true }))
    } catch (error) {
      console.log(JSON.stringify({ name, ok: false, error: String(error.stack ?? error).slice(0, 2000) }))
    }
  }
  process.exit(0)
}
