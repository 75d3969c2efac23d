//! Both readers over the same folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tough::{FilesystemTransport, IntoVec, RepositoryLoader, TargetName};
use trust::{Answer, Error, Refresh, Trusted};

use crate::support::{NOW, time};

/// So late that the real clock, which tough looks at, does not matter.
pub(crate) const NEVER: &str = "2100-01-01T00:00:00Z";

/// A repository on disk: `metadata/`, `targets/`, and a place where tough remembers what it saw.
pub(crate) struct Disk {
    dir: TempDir,
    /// What a client is shipped with.
    pub(crate) first_root: Vec<u8>,
}

impl Disk {
    pub(crate) fn new(metadata: &BTreeMap<String, Vec<u8>>, targets: &BTreeMap<String, Vec<u8>>) -> Self {
        let disk = Self { dir: tempfile::tempdir().unwrap(), first_root: metadata["1.root.json"].clone() };
        fs::create_dir(disk.path("seen")).unwrap();
        disk.serve(metadata, targets);
        disk
    }

    /// Replaces what is served. What tough remembers stays.
    pub(crate) fn serve(&self, metadata: &BTreeMap<String, Vec<u8>>, targets: &BTreeMap<String, Vec<u8>>) {
        for (folder, files) in [("metadata", metadata), ("targets", targets)] {
            _ = fs::remove_dir_all(self.path(folder));
            fs::create_dir(self.path(folder)).unwrap();
            for (name, content) in files {
                let path = self.path(folder).join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
        }
    }

    pub(crate) fn path(&self, folder: &str) -> PathBuf {
        self.dir.path().join(folder)
    }

    /// The content of a target as tough sees it.
    pub(crate) async fn tough(&self, target: &str) -> Result<Vec<u8>, String> {
        let url = |folder: &str| format!("file://{}/", self.path(folder).display());
        let loader = RepositoryLoader::new(&self.first_root, url("metadata").parse().unwrap(), url("targets").parse().unwrap());
        let loader = loader.transport(FilesystemTransport).datastore(self.path("seen"));
        let repository = loader.load().await.map_err(|error| error.to_string())?;
        let name = TargetName::new(target).map_err(|error| error.to_string())?;
        let stream = repository.read_target(&name).await.map_err(|error| error.to_string())?.ok_or("no such target")?;
        stream.into_vec().await.map_err(|error| error.to_string())
    }

    /// The same as we see it, going on from `trusted`.
    pub(crate) fn ours_from(&self, trusted: Trusted, target: &str) -> (Trusted, Result<Vec<u8>, String>) {
        let mut refresh = match Refresh::new(trusted.clone(), time(NOW)) {
            Ok(refresh) => refresh,
            Err(error) => return (trusted, Err(error.to_string())),
        };
        let metadata = self.path("metadata");
        let run: Result<(), Error> = refresh.run(|want| Ok(read(&metadata.join(&want.path)).map_or(Answer::Missing, Answer::Bytes)));
        let (kept, consistent) = (refresh.trusted().clone(), refresh.consistent_snapshot());
        let outcome = run.and_then(|()| refresh.finish()).map_err(|error| error.to_string()).and_then(|targets| {
            let (name, target) = targets.iter().find(|(name, _)| name.as_str() == target).ok_or("no such target")?;
            let bytes = read(&self.path("targets").join(target.path(name, consistent))).ok_or("no such file")?;
            target.check(&bytes).map(trust::Verified::into_inner).map_err(|error| error.to_string())
        });
        (kept, outcome)
    }

    pub(crate) fn ours(&self, target: &str) -> Result<Vec<u8>, String> {
        self.ours_from(Trusted::new(self.first_root.clone()), target).1
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}
