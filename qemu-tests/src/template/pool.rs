//! The templates of one run: each is booted by whoever needs it first, everybody else waits for that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, anyhow};
use camino::{Utf8Path, Utf8PathBuf};

use super::files::Files;
use super::{Template, boot_cold, key};
use crate::vm::{Host, Spec, Vm};

/// Environment variable that names a directory in which templates outlive the run. Each takes about 500 MB.
pub const CACHE_ENV: &str = "SLIPWAY_TEST_TEMPLATES";

type Made = Arc<OnceLock<Result<Template, String>>>;

/// Templates by what they are made of.
#[derive(Debug)]
pub struct Templates {
    cache: Option<Utf8PathBuf>,
    logs: Utf8PathBuf,
    made: Mutex<HashMap<String, Made>>,
    notes: Mutex<Vec<String>>,
}

impl Templates {
    /// No templates yet; logs of their boots go below `logs`.
    #[must_use]
    pub fn new(logs: Utf8PathBuf) -> Self {
        let cache = std::env::var(CACHE_ENV).ok().filter(|dir| !dir.is_empty()).map(Utf8PathBuf::from);
        Self { cache, logs, made: Mutex::default(), notes: Mutex::default() }
    }

    /// A machine like `spec` that has booted and settled: forked if possible, booted otherwise. Services and ports of
    /// `spec` lead into a card that is plugged in here.
    pub fn start(&self, name: &str, spec: &Spec, host: &Host, logs: &Utf8Path) -> anyhow::Result<Vm> {
        let (vm, settled) = match self.fork(name, spec, host, logs) {
            Ok(vm) => (vm, true),
            Err(reason) => {
                self.note(format!("{name} is booted, because it could not be forked: {reason:#}"));
                let vm = boot_cold(name, spec, host, logs)?;
                vm.wait_for_agent()?;
                (vm, false)
            }
        };
        if !spec.services.is_empty() || !spec.guest_ports.is_empty() {
            vm.plug_services(&spec.services, &spec.guest_ports)?;
            vm.wait_for_services()?;
        }
        if !settled {
            vm.wait_for_boot()?;
        }
        Ok(vm)
    }

    /// A fork of the template that `spec` boots to, without any card.
    pub fn fork(&self, name: &str, spec: &Spec, host: &Host, logs: &Utf8Path) -> anyhow::Result<Vm> {
        let key = key::of(spec, host)?;
        let made = Arc::clone(self.made.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default());
        match made.get_or_init(|| self.make(&key, spec, host).map_err(|error| format!("{error:#}"))) {
            Ok(template) => template.fork(name, host, logs),
            Err(story) => Err(anyhow!("there is no template: {story}")),
        }
    }

    /// What did not go as it should but was made good, for the one who reads the report.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, text: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    fn make(&self, key: &str, spec: &Spec, host: &Host) -> anyhow::Result<Template> {
        let bare = Spec { services: Vec::new(), guest_ports: Vec::new(), ..spec.clone() };
        let logs = self.logs.join(format!("template-{key}"));
        let Some(cache) = &self.cache else {
            let template = Template::boot(&bare, host, Files::temporary()?, &logs)?;
            let _ = std::fs::remove_dir_all(&logs);
            return Ok(template);
        };
        let cache = camino::absolute_utf8(cache).with_context(|| format!("resolving {cache}"))?;
        let dir = cache.join(key);
        if !dir.exists() {
            // Under its name a template is whole: it gets it last.
            let half = cache.join(format!("{key}.{}", std::process::id()));
            std::fs::create_dir_all(&half).with_context(|| format!("making {half}"))?;
            let made = Template::boot(&bare, host, Files::at(half.clone()), &logs);
            let named = made.and_then(|_| std::fs::rename(&half, &dir).with_context(|| format!("naming {dir}")));
            // What is left over is untidy, not a failure; the logs of a boot that failed are wanted.
            let _ = std::fs::remove_dir_all(if named.is_ok() { &logs } else { &half });
            // Somebody else may have been faster; theirs is as good.
            if !dir.exists() {
                named?;
            }
        }
        Ok(Template { spec: bare, files: Files::at(dir) })
    }
}
