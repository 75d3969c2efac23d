//! Who signs a role: keys in files, and keys that another process holds.
//!
//! `DIR/private/ROLE.pem` and `ROLE-*.pem` are keys in files. `ROLE.command` and `ROLE-*.command` name a program for a key that never
//! comes here (a hardware token, a signing service): one argument per line, the message on its standard input, the 64 bytes of the
//! ed25519 signature on its standard output; the public key is `DIR/public/` with the same name and the ending `.pub.pem`.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use trust::{KeySigner, PublicKey, Role, SignError, Signature, Signer};

use crate::cmd::Cmd;

/// The largest key or command file, in bytes.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// Everyone here who can sign for `role`, in the order of the file names; empty when all its keys are elsewhere.
pub fn signers(keys: &Path, role: Role) -> anyhow::Result<Vec<Box<dyn Signer>>> {
    let dir = keys.join("private");
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("looking for the keys of {role} in {}", dir.display()))? {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        if belongs(&path, role) {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(|path| signer(keys, &path)).collect()
}

/// The public keys of `role`, in the order of the file names.
pub fn public_keys(keys: &Path, role: Role) -> anyhow::Result<Vec<PublicKey>> {
    let dir = keys.join("public");
    let mut found = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("looking for the public keys of {role} in {}", dir.display()))? {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        if path.to_string_lossy().ends_with(".pub.pem") && stem_is(&path, role) {
            found.push(path);
        }
    }
    found.sort();
    found.iter().map(|path| public_key(path)).collect()
}

/// Reads a public key, PEM.
pub fn public_key(path: &Path) -> anyhow::Result<PublicKey> {
    PublicKey::from_pem(&text(path)?).with_context(|| format!("reading the public key {}", path.display()))
}

fn belongs(path: &Path, role: Role) -> bool {
    path.extension().is_some_and(|end| end == "pem" || end == "command") && stem_is(path, role)
}

/// Whether the file is called `ROLE.*` or `ROLE-*.*`.
fn stem_is(path: &Path, role: Role) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix(role.name()).is_some_and(|rest| rest.starts_with(['.', '-']))
}

fn signer(keys: &Path, path: &Path) -> anyhow::Result<Box<dyn Signer>> {
    if path.extension().is_some_and(|end| end == "command") {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let public = public_key(&keys.join("public").join(format!("{name}.pub.pem")))?;
        return Ok(Box::new(CommandSigner::new(public, path)?));
    }
    let mode = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?.permissions().mode();
    ensure!(mode & 0o077 == 0, "{} can be read by others than its owner; repair it with: chmod 600 {0}", path.display());
    let key = KeySigner::from_pem(&text(path)?).with_context(|| format!("reading the private key {}", path.display()))?;
    Ok(Box::new(key))
}

fn text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.take(FILE_MAX_BYTES).read_to_string(&mut text).with_context(|| format!("reading {}", path.display()))?;
    Ok(text)
}

/// A key that another process holds.
#[derive(Debug)]
pub struct CommandSigner {
    public: PublicKey,
    arguments: Vec<String>,
    path: PathBuf,
}

impl CommandSigner {
    /// The command described in the file at `path`, which signs for `public`.
    pub fn new(public: PublicKey, path: &Path) -> anyhow::Result<Self> {
        let arguments: Vec<String> = text(path)?.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if arguments.is_empty() {
            bail!("{} names no program; write the program and its arguments, one per line", path.display());
        }
        Ok(Self { public, arguments, path: path.to_owned() })
    }

    fn run(&self, message: &[u8]) -> anyhow::Result<Signature> {
        // The message waits in a file: a program that reads late or not at all must not block us.
        let mut input = tempfile::tempfile().context("making a file for the message")?;
        std::io::Write::write_all(&mut input, message).context("writing the message")?;
        std::io::Seek::rewind(&mut input).context("writing the message")?;
        let (program, arguments) = self.arguments.split_first().context("the command is empty")?;
        let output = Cmd::new(program)
            .args(arguments)
            .with(|inner| {
                inner.stdin(Stdio::from(input));
            })
            .output()?;
        let bytes = <[u8; 64]>::try_from(output.as_slice())
            .map_err(|_| anyhow::anyhow!("it wrote {} bytes instead of the 64 of a signature", output.len()))?;
        let signature = Signature::from_bytes(bytes);
        ensure!(self.public.verify(message, &signature), "what it wrote is no signature by the key {}", self.public.id());
        Ok(signature)
    }
}

impl Signer for CommandSigner {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        self.run(message).map_err(|error| SignError::new(format!("the signing command of {}: {error:#}", self.path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> (tempfile::TempDir, PublicKey) {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["private", "public"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let key = KeySigner::from_seed(&[7; 32]).public_key();
        fs::write(dir.path().join("public/targets.pub.pem"), key.to_pem()).unwrap();
        (dir, key)
    }

    #[test]
    fn a_command_that_does_not_sign_is_an_error_that_names_it() {
        let (dir, _) = keys();
        for (command, word) in [
            ("cat\n", "instead of the 64"),
            ("head\n-c\n64\n/dev/zero\n", "no signature by the key"),
            ("false\n", "failed"),
            ("/nonexistent/token\n", "No such file"),
        ] {
            fs::write(dir.path().join("private/targets.command"), command).unwrap();
            let signers = signers(dir.path(), Role::Targets).unwrap();
            let error = signers[0].sign(b"message").unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("targets.command"), "{command}: {error}");
        }
        fs::write(dir.path().join("private/targets.command"), "\n").unwrap();
        assert!(signers(dir.path(), Role::Targets).is_err());
    }

    #[test]
    fn a_command_signs_with_a_key_that_is_not_here() {
        let (dir, key) = keys();
        let expected = KeySigner::from_seed(&[7; 32]).sign(b"message").unwrap();
        let token = dir.path().join("answer");
        fs::write(&token, expected.to_bytes()).unwrap();
        fs::write(dir.path().join("private/targets.command"), format!("cat\n{}\n", token.display())).unwrap();
        let signers = signers(dir.path(), Role::Targets).unwrap();
        assert_eq!(signers[0].public_key(), key);
        assert_eq!(signers[0].sign(b"message").unwrap(), expected);
        assert!(signers[0].sign(b"another").is_err());
    }

    #[test]
    fn keys_are_found_by_role_and_must_be_private() {
        let (dir, _) = keys();
        let pem = {
            use ed25519_dalek::pkcs8::EncodePrivateKey;
            ed25519_dalek::SigningKey::from_bytes(&[9; 32]).to_pkcs8_pem(Default::default()).unwrap()
        };
        for name in ["root.pem", "root-2.pem", "rooted.pem", "targets.pem", "root.txt"] {
            let path = dir.path().join("private").join(name);
            fs::write(&path, pem.as_bytes()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert_eq!(signers(dir.path(), Role::Root).unwrap().len(), 2);
        assert_eq!(signers(dir.path(), Role::Snapshot).unwrap().len(), 0);
        fs::set_permissions(dir.path().join("private/root.pem"), fs::Permissions::from_mode(0o644)).unwrap();
        let error = signers(dir.path(), Role::Root).err().unwrap().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }
}
