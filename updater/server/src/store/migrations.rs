//! The steps that bring a database's tables up to date, in order.
//!
//! They are listed by hand: the macro that reads the folder would compile both databases a second time, for the compiler itself.

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Number, name and statements of one step.
type Step = (i64, &'static str, &'static str);

const SQLITE: &[Step] = &[
    (1, "first", include_str!("../../migrations/sqlite/0001_first.sql")),
    (2, "sessions", include_str!("../../migrations/sqlite/0002_sessions.sql")),
    (3, "seen", include_str!("../../migrations/sqlite/0003_seen.sql")),
    (4, "cluster", include_str!("../../migrations/sqlite/0004_cluster.sql")),
];

const POSTGRES: &[Step] = &[
    (1, "first", include_str!("../../migrations/postgres/0001_first.sql")),
    (2, "sessions", include_str!("../../migrations/postgres/0002_sessions.sql")),
    (3, "room", include_str!("../../migrations/postgres/0003_room.sql")),
    (4, "seen", include_str!("../../migrations/postgres/0004_seen.sql")),
    (5, "cluster", include_str!("../../migrations/postgres/0005_cluster.sql")),
];

/// For SQLite.
pub(super) fn sqlite() -> Migrator {
    migrator(SQLITE)
}

/// For Postgres.
pub(super) fn postgres() -> Migrator {
    migrator(POSTGRES)
}

fn migrator(steps: &[Step]) -> Migrator {
    let step = |&(number, name, statements): &Step| {
        Migration::new(number, name.into(), MigrationType::Simple, SqlStr::from_static(statements), false)
    };
    Migrator::with_migrations(steps.iter().map(step).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sqlx::migrate::MigrateError;
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    /// The beginning of each released step's SHA-384, by `sha384sum`: what servers that are in use have written into their databases.
    const RELEASED_SQLITE: &[&str] = &["cd4406fa82eb4052", "4ae52f06fbc35ebc", "a0f70870f6005619", "666421babe92ac04"];
    const RELEASED_POSTGRES: &[&str] =
        &["fd3c62d39870b75e", "4ae52f06fbc35ebc", "9fed4c4cc82acedb", "597c4306f5513735", "666421babe92ac04"];

    #[test]
    fn a_released_step_stays_as_it_is() {
        for (migrator, released) in [(sqlite(), RELEASED_SQLITE), (postgres(), RELEASED_POSTGRES)] {
            let sums: Vec<_> = migrator.iter().map(|step| hex::encode(&step.checksum[..8])).collect();
            assert_eq!(sums, released, "a database in use would be refused; write a new step instead");
        }
    }

    #[tokio::test]
    async fn a_database_of_an_earlier_server_is_brought_up_to_date_and_another_one_is_refused() {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        migrator(&SQLITE[..2]).run(&pool).await.unwrap();
        sqlite().run(&pool).await.unwrap();
        let steps: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&pool).await.unwrap();
        assert_eq!(usize::try_from(steps).unwrap(), SQLITE.len());
        let changed = migrator(&[(1, "first", "CREATE TABLE other (id INTEGER)")]).run(&pool).await;
        assert!(matches!(changed, Err(MigrateError::VersionMismatch(1) | MigrateError::VersionMissing(_))), "{changed:?}");
    }

    #[test]
    fn every_file_is_a_step() {
        for (folder, steps) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
            let mut files: Vec<_> =
                std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            files.sort();
            let listed: Vec<_> = steps.iter().map(|(number, name, _)| format!("{number:04}_{name}.sql")).collect();
            assert_eq!(listed, files, "{}", folder.display());
            for (number, name, statements) in steps {
                assert_eq!(*statements, std::fs::read_to_string(folder.join(format!("{number:04}_{name}.sql"))).unwrap());
            }
        }
    }
}
