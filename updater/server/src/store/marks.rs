//! The newest metadata that was ever served, so that files restored from an older backup are noticed by the database.

use std::collections::BTreeMap;

use super::{Db, StoreError, Tx};
use crate::args;
use crate::publish::{Layout, verify};

/// The roles whose versions rise with every publication, as they are named in the table.
const ROLES: [(&str, &str); 3] = [("timestamp", "timestamp.json"), ("snapshot", "snapshot.json"), ("targets", "targets.json")];

/// Versions of metadata by role.
pub type Marks = BTreeMap<&'static str, i64>;

/// The versions that are served now; a role whose file is not there or cannot be read is left out.
#[must_use]
pub fn served(layout: &Layout) -> Marks {
    let files = verify::files(&layout.tuf()).unwrap_or_default();
    let version = |file: &str| {
        let json: serde_json::Value = serde_json::from_slice(files.get(file)?).ok()?;
        json.pointer("/signed/version")?.as_i64()
    };
    ROLES.into_iter().filter_map(|(role, file)| Some((role, version(file)?))).collect()
}

/// Notes versions; one that is lower than before changes nothing.
///
/// # Errors
/// The database's.
pub async fn raise(tx: &mut Tx, marks: &Marks) -> Result<(), StoreError> {
    for (role, version) in marks {
        let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) \
                   DO UPDATE SET value = CASE WHEN excluded.value > meta.value THEN excluded.value ELSE meta.value END";
        tx.run(sql, args![name(role), *version]).await?;
    }
    Ok(())
}

/// The highest that were ever noted.
///
/// # Errors
/// The database's.
pub async fn read(db: &Db) -> Result<Marks, StoreError> {
    let mut marks = Marks::new();
    for row in db.rows("SELECT name, value FROM meta WHERE name LIKE 'tuf-%'", &[]).await? {
        let known = ROLES.into_iter().find(|(role, _)| row.text(0).is_ok_and(|stored| stored == name(role)));
        if let Some((role, _)) = known {
            marks.insert(role, row.int(1)?);
        }
    }
    Ok(marks)
}

fn name(role: &str) -> String {
    format!("tuf-{role}")
}
