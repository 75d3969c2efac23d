//! Sessions of people: a token, shown once at the sign-in, becomes a cookie that ends by itself.
//!
//! They are kept in the database so that every replica knows them and a restart signs nobody out. Stored is the SHA-256 of
//! a random identifier; a copy of the database signs nobody in. The role is read from the token at every request: a
//! revoked or expired token ends its sessions at once.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::args;
use crate::policy::{Span, Time};
use crate::store::tokens::{Role, Token};
use crate::store::{Db, StoreError};

/// Random bytes in a session's identifier: 256 bits cannot be guessed, so a plain SHA-256 protects them.
const ID_BYTES: usize = 32;
/// A session ends after this long without a page that a person asked for; what the script fetches by itself does not count.
/// Half a shift: long enough to watch a rollout, short enough for a laptop left open.
pub const IDLE: Span = Span::hours(4);
/// A session ends after this long, whatever happens: one shift.
pub const ABSOLUTE: Span = Span::hours(12);
/// The last use is noted at this granularity, to spare a write per request.
const TOUCH: Span = Span::minutes(1);
/// Sessions of one token at the same time; the oldest ends when another one begins, so that nobody fills the table.
pub const PER_TOKEN: i64 = 20;

/// A session's identifier as the browser knows it. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// What a browser sent; `None` for what no sign-in ever made.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == ID_BYTES * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
        fits.then(|| Self(text.to_owned()))
    }

    /// What the cookie carries.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> String {
        hex::encode(Sha256::digest(format!("session {}", self.0)))
    }

    /// The token that this session's forms carry. Derived, so that there is nothing to store; who knows it does not know
    /// the identifier.
    #[must_use]
    pub fn form_token(&self) -> String {
        hex::encode(Sha256::digest(format!("form {}", self.0)))
    }

    /// Whether a form carried this session's token.
    #[must_use]
    pub fn made_form(&self, presented: &str) -> bool {
        self.form_token().as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

/// Begins a session for the bearer of `token`, always under a new identifier, and ends the one the browser had before.
///
/// # Errors
/// The database's.
pub async fn begin(db: &Db, token: &Token, before: Option<&Secret>, now: Time) -> Result<Secret, StoreError> {
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
    let secret = Secret(hex::encode(bytes));
    let mut tx = db.begin().await?;
    let (oldest, quietest) = (now - ABSOLUTE, now - IDLE);
    tx.run("DELETE FROM sessions WHERE created_at <= $1 OR last_seen <= $2", args![oldest.0, quietest.0]).await?;
    if let Some(before) = before {
        tx.run("DELETE FROM sessions WHERE hash = $1", args![before.hash()]).await?;
    }
    let sql = "DELETE FROM sessions WHERE token = $1 AND hash NOT IN \
               (SELECT hash FROM sessions WHERE token = $1 ORDER BY created_at DESC, hash LIMIT $2)";
    tx.run(sql, args![token.id, PER_TOKEN - 1]).await?;
    let sql = "INSERT INTO sessions (hash, token, created_at, last_seen) VALUES ($1, $2, $3, $3)";
    tx.run(sql, args![secret.hash(), token.id, now.0]).await?;
    tx.commit().await?;
    Ok(secret)
}

/// How a request counts towards [`IDLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A person asked for it.
    Person,
    /// The page's script fetched it by itself.
    Script,
}

/// Who is signed in; `None` when the session is unknown or over, or its token is.
///
/// # Errors
/// The database's.
pub async fn resume(db: &Db, secret: &Secret, used: Use, now: Time) -> Result<Option<(String, Role)>, StoreError> {
    let sql = "SELECT s.created_at, s.last_seen, t.name, t.role, t.expires_at, t.revoked_at \
               FROM sessions s JOIN tokens t ON t.id = s.token WHERE s.hash = $1";
    let Some(row) = db.row(sql, args![secret.hash()]).await? else { return Ok(None) };
    let (created, seen) = (Time(row.int(0)?), Time(row.int(1)?));
    let over = now.since(created) >= ABSOLUTE || now.since(seen) >= IDLE;
    let token_over = row.maybe_int(5)?.is_some() || row.maybe_int(4)?.is_some_and(|end| end <= now.0);
    if over || token_over {
        return Ok(None);
    }
    let (name, role) = (row.text(2)?.to_owned(), row.text(3)?);
    // A role that a newer version stored may do nothing but read.
    let role = Role::ALL.into_iter().find(|known| known.name() == role).unwrap_or(Role::Viewer);
    if used == Use::Person && now.since(seen) >= TOUCH {
        let mut tx = db.begin().await?;
        tx.run("UPDATE sessions SET last_seen = $2 WHERE hash = $1", args![secret.hash(), now.0]).await?;
        tx.commit().await?;
    }
    Ok(Some((name, role)))
}

/// Ends a session.
///
/// # Errors
/// The database's.
pub async fn end(db: &Db, secret: &Secret) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    tx.run("DELETE FROM sessions WHERE hash = $1", args![secret.hash()]).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tokens;

    const START: Time = Time(1_767_571_200_000);

    async fn store() -> (tempfile::TempDir, Db, Token) {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::sqlite(&dir.path().join("test.db")).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        let (token, _) = tokens::create(&mut tx, "anna", Role::Operator, None, START).await.unwrap();
        tx.commit().await.unwrap();
        (dir, db, token)
    }

    async fn alive(db: &Db, secret: &Secret, used: Use, now: Time) -> bool {
        resume(db, secret, used, now).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn a_session_ends_when_nobody_uses_it() {
        let (_dir, db, token) = store().await;
        let secret = begin(&db, &token, None, START).await.unwrap();
        let (almost, over) = (START + IDLE - Span(1), START + IDLE);
        assert!(alive(&db, &secret, Use::Script, almost).await, "the script may look");
        assert!(!alive(&db, &secret, Use::Script, over).await, "but does not keep the session alive");
        let secret = begin(&db, &token, None, START).await.unwrap();
        assert!(alive(&db, &secret, Use::Person, almost).await);
        assert!(alive(&db, &secret, Use::Person, over).await, "a person does");
    }

    #[tokio::test]
    async fn a_session_ends_after_a_shift_however_busy_it_is() {
        let (_dir, db, token) = store().await;
        let secret = begin(&db, &token, None, START).await.unwrap();
        for hour in 0..12 {
            assert!(alive(&db, &secret, Use::Person, START + Span::hours(hour)).await, "hour {hour}");
        }
        assert!(!alive(&db, &secret, Use::Person, START + ABSOLUTE).await);
    }

    #[tokio::test]
    async fn a_session_ends_with_its_token() {
        let (_dir, db, token) = store().await;
        let secret = begin(&db, &token, None, START).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        tokens::revoke(&mut tx, token.id, START).await.unwrap();
        let (short, _) = tokens::create(&mut tx, "short", Role::Viewer, Some(START + Span::minutes(5)), START).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!alive(&db, &secret, Use::Person, START).await, "revoked");
        let secret = begin(&db, &short, None, START).await.unwrap();
        assert!(alive(&db, &secret, Use::Person, START + Span::minutes(4)).await);
        assert!(!alive(&db, &secret, Use::Person, START + Span::minutes(5)).await, "expired");
    }

    #[tokio::test]
    async fn a_session_ends_when_it_is_told_to_or_replaced() {
        let (_dir, db, token) = store().await;
        let first = begin(&db, &token, None, START).await.unwrap();
        let second = begin(&db, &token, Some(&first), START).await.unwrap();
        assert!(first != second && !alive(&db, &first, Use::Person, START).await, "a sign-in ends the session before");
        end(&db, &second).await.unwrap();
        assert!(!alive(&db, &second, Use::Person, START).await);
    }

    #[tokio::test]
    async fn one_token_cannot_fill_the_table() {
        let (_dir, db, token) = store().await;
        let mut all = Vec::new();
        for second in 0..=u64::try_from(PER_TOKEN).unwrap() {
            all.push(begin(&db, &token, None, START + Span::seconds(second)).await.unwrap());
        }
        let now = START + Span::minutes(1);
        assert!(!alive(&db, &all[0], Use::Script, now).await, "the oldest gave way");
        assert!(alive(&db, &all[1], Use::Script, now).await && alive(&db, all.last().unwrap(), Use::Script, now).await);
    }

    #[tokio::test]
    async fn the_database_knows_no_identifier() {
        let (_dir, db, token) = store().await;
        let secret = begin(&db, &token, None, START).await.unwrap();
        let row = db.row("SELECT hash FROM sessions", args![]).await.unwrap().unwrap();
        assert_ne!(row.text(0).unwrap(), secret.text());
        assert_ne!(secret.form_token(), secret.hash(), "what a form shows is not what is stored");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn takes_only_identifiers_that_a_sign_in_makes() {
        assert!(Secret::parse(&"0f".repeat(ID_BYTES)).is_some());
        for wrong in ["", "0f", &"0F".repeat(ID_BYTES), &"0g".repeat(ID_BYTES), &"0f".repeat(ID_BYTES + 1), &"é".repeat(ID_BYTES)] {
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
        let secret = Secret::parse(&"0f".repeat(ID_BYTES)).unwrap();
        assert!(secret.made_form(&secret.form_token()));
        for wrong in ["", "x", secret.text(), &secret.form_token()[1..]] {
            assert!(!secret.made_form(wrong), "{wrong}");
        }
    }
}
