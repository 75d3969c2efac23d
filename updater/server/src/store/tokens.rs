//! Bearer tokens: stored as a hash, shown once.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Db, StoreError, Tx};
use crate::args;
use crate::policy::Time;

/// Random bytes in a token: 256 bits, so that a plain SHA-256 protects it as well as a slow hash would.
const TOKEN_BYTES: usize = 32;
/// What tokens begin with, so that scanners for leaked secrets can know them.
const PREFIX: &str = "slipway_";
/// The last use of a token is noted at this granularity, to spare a write per request.
const LAST_USED_MILLIS: i64 = 60_000;

/// What the bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads everything but tokens.
    Viewer,
    /// Publishes releases, and reads.
    Publisher,
    /// Steers groups, channels, rollouts and machines, and reads.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Publisher, Self::Operator, Self::Admin];

    /// Whether this role may do what `needed` may. Publisher and operator are no steps of one ladder.
    #[must_use]
    pub const fn may(self, needed: Self) -> bool {
        matches!(
            (self, needed),
            (Self::Admin, _) | (_, Self::Viewer) | (Self::Publisher, Self::Publisher) | (Self::Operator, Self::Operator)
        )
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Publisher => "publisher",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A token as it is listed: without its secret, which nobody can read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// Who or what uses it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Time,
    /// When it ends, if ever.
    pub expires_at: Option<Time>,
    /// When it was last used, to the minute.
    pub last_used: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
}

/// Makes a token. The returned secret is shown once and stored nowhere.
///
/// # Errors
/// The database's.
pub async fn create(tx: &mut Tx, name: &str, role: Role, expires_at: Option<Time>, now: Time) -> Result<(Token, String), StoreError> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
    let secret = format!("{PREFIX}{}", hex::encode(bytes));
    let sql = "INSERT INTO tokens (name, role, hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5) RETURNING id";
    let values = args![name, role.name(), hash(&secret), now.0, expires_at.map(|time| time.0)];
    let id = tx.row(sql, values).await?.map_or(Ok(0), |row| row.int(0))?;
    Ok((Token { id, name: name.to_owned(), role, created_at: now, expires_at, last_used: None, revoked_at: None }, secret))
}

const COLUMNS: &str = "id, name, role, created_at, expires_at, last_used, revoked_at, hash";

fn token(row: &super::db::Row) -> Result<Token, StoreError> {
    Ok(Token {
        id: row.int(0)?,
        name: row.text(1)?.to_owned(),
        // A role that a newer version stored may do nothing but read.
        role: Role::named(row.text(2)?).unwrap_or(Role::Viewer),
        created_at: Time(row.int(3)?),
        expires_at: row.maybe_int(4)?.map(Time),
        last_used: row.maybe_int(5)?.map(Time),
        revoked_at: row.maybe_int(6)?.map(Time),
    })
}

/// All tokens, the revoked ones too.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db) -> Result<Vec<Token>, StoreError> {
    db.rows(format!("SELECT {COLUMNS} FROM tokens ORDER BY id"), &[]).await?.iter().map(token).collect()
}

/// Ends a token now; `None` when there is none of that number that still works.
///
/// # Errors
/// The database's.
pub async fn revoke(tx: &mut Tx, id: i64, now: Time) -> Result<Option<Token>, StoreError> {
    let Some(row) = tx.row(format!("SELECT {COLUMNS} FROM tokens WHERE id = $1 AND revoked_at IS NULL"), args![id]).await? else {
        return Ok(None);
    };
    tx.run("UPDATE tokens SET revoked_at = $2 WHERE id = $1", args![id, now.0]).await?;
    token(&row).map(Some)
}

/// Who presents `secret`; `None` for an unknown, expired or revoked token, without telling which.
///
/// # Errors
/// The database's.
pub async fn authenticate(db: &Db, secret: &str, now: Time) -> Result<Option<Token>, StoreError> {
    let hashed = hash(secret);
    // The index finds the row by the hash of a 256-bit secret: its timing says nothing about the secret. The comparison
    // that decides is constant-time all the same.
    let Some(row) = db.row(format!("SELECT {COLUMNS} FROM tokens WHERE hash = $1"), args![hashed.as_str()]).await? else { return Ok(None) };
    let same: bool = row.text(7)?.as_bytes().ct_eq(hashed.as_bytes()).into();
    let token = token(&row)?;
    let expired = token.expires_at.is_some_and(|end| end <= now);
    if !same || expired || token.revoked_at.is_some() {
        return Ok(None);
    }
    if token.last_used.is_none_or(|last| now.0 - last.0 >= LAST_USED_MILLIS) {
        let mut tx = db.begin().await?;
        tx.run("UPDATE tokens SET last_used = $2 WHERE id = $1", args![token.id, now.0]).await?;
        tx.commit().await?;
    }
    Ok(Some(token))
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}
