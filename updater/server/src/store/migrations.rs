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

    use super::*;

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
