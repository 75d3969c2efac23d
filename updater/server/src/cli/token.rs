//! `update-server token`

use anyhow::bail;
use serde_json::json;

use super::Ui;
use super::open::Place;
use crate::clock::Clock;
use crate::policy::{Span, Time};
use crate::store::audit::note;
use crate::store::tokens::{self, Role};

/// Makes, lists and revokes tokens, on the data folder itself.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Makes a token and prints its secret, once. Example: update-server token create --data DIR --name ci --role publisher
    Create {
        /// Which server.
        #[command(flatten)]
        place: Place,
        /// Who or what uses it; shown in the audit log.
        #[arg(long)]
        name: String,
        /// viewer reads; publisher publishes releases; operator steers rollouts; admin does everything.
        #[arg(long, value_enum)]
        role: Role,
        /// When it ends, e.g. 90d; never, when left out.
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<Span>,
    },
    /// Lists tokens, without their secrets.
    List {
        /// Which server.
        #[command(flatten)]
        place: Place,
    },
    /// Ends a token now. Example: update-server token revoke --data DIR 3
    Revoke {
        /// Which server.
        #[command(flatten)]
        place: Place,
        /// Its number in the list.
        id: i64,
    },
}

/// Runs it.
///
/// # Errors
/// There is no such token or data folder, or the database's.
pub async fn run(command: &Command, ui: Ui) -> anyhow::Result<()> {
    let now = Clock::System.now();
    match command {
        Command::Create { place, name, role, expires_in } => {
            let (db, _) = place.open().await?;
            let mut tx = db.begin().await?;
            let (token, secret) = tokens::create(&mut tx, name, *role, expires_in.map(|span| now + span), now).await?;
            note(&mut tx, now, "local", "token.create", &format!("token/{}", token.id), None::<&()>, Some(&token)).await?;
            tx.commit().await?;
            if ui.json {
                ui.data(&json!({ "token": secret, "id": token.id }))?;
            } else {
                ui.line(secret);
            }
        }
        Command::List { place } => {
            let (db, _) = place.open().await?;
            let list = tokens::list(&db).await?;
            if ui.json {
                return ui.data(&list);
            }
            for token in list {
                let when = |time: Option<Time>| time.map_or("never".to_owned(), |time| time.to_string());
                let ended = token.revoked_at.map_or_else(|| format!("expires {}", when(token.expires_at)), |at| format!("revoked {at}"));
                ui.line(format!(
                    "{:>4}  {:<9}  {:<24}  {ended}, last used {}",
                    token.id,
                    token.role.name(),
                    token.name,
                    when(token.last_used)
                ));
            }
        }
        Command::Revoke { place, id } => {
            let (db, _) = place.open().await?;
            let mut tx = db.begin().await?;
            let Some(token) = tokens::revoke(&mut tx, *id, now).await? else {
                bail!("there is no working token {id}; see: update-server token list")
            };
            note(&mut tx, now, "local", "token.revoke", &format!("token/{id}"), Some(&token), None::<&()>).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}
