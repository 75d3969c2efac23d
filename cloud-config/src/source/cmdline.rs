//! What the kernel command line says about the configuration.

use super::nocloud::Seed;
use super::platform::Platform;

/// Where the kernel shows its command line.
pub(super) const PATH: &str = "/proc/cmdline";

/// Keys under which other systems' boot arguments name the platform, beside ours.
const PLATFORM_KEYS: &[&str] =
    &["slipway.platform", "ignition.platform.id", "flatcar.oem.id", "coreos.oem.id", "flatcar_oem_id", "coreos_oem_id"];

/// The part of the command line that sources look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cmdline {
    /// `cloud-config-url=`
    pub(super) url: Option<String>,
    /// `ds=nocloud;...`
    pub(super) seed: Option<Seed>,
    /// The platform a person names, and the argument that does.
    pub(super) platform: Option<(Platform, String)>,
    /// `coreos.configdrive=0` (or `slipway.`): config drives do not count.
    pub(super) no_config_drive: bool,
}

impl Cmdline {
    /// Reads a command line. Of several values the last one counts, as in the kernel; empty ones do not count at all.
    pub(super) fn parse(text: &str) -> Self {
        let mut cmdline = Self::default();
        for word in words(text) {
            let Some((key, value)) = word.split_once('=').filter(|(_, value)| !value.is_empty()) else { continue };
            match key {
                "cloud-config-url" | "cloud_config_url" => cmdline.url = Some(value.to_owned()),
                "ds" => cmdline.seed = Seed::parse(&word).or(cmdline.seed),
                "slipway.configdrive" | "coreos.configdrive" => cmdline.no_config_drive = value == "0",
                _ if PLATFORM_KEYS.contains(&key) => {
                    cmdline.platform = Platform::named(value).map(|platform| (platform, word.clone())).or(cmdline.platform);
                }
                _ => {}
            }
        }
        cmdline
    }
}

/// Splits as the kernel does: at white space outside of double quotes, which disappear.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut inside) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => inside = !inside,
            c if c.is_ascii_whitespace() && !inside => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Option<String> {
        Cmdline::parse(text).url
    }

    #[test]
    fn the_last_url_that_says_something_counts() {
        assert_eq!(url("ro cloud-config-url=http://a/ quiet").as_deref(), Some("http://a/"));
        assert_eq!(url("cloud-config-url=http://a/ cloud_config_url=http://b/\n").as_deref(), Some("http://b/"));
        assert_eq!(url("cloud-config-url=http://a/ cloud-config-url=").as_deref(), Some("http://a/"));
        assert_eq!(url("cloud-config-url=\"http://a/x y\"").as_deref(), Some("http://a/x y"));
        for nothing in ["", "ro", "cloud-config-url", "cloud-config-url=", "xcloud-config-url=http://a/", "init=\"a cloud-config-url=b\""] {
            assert_eq!(url(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn platforms_are_named_in_our_words_and_in_those_of_others() {
        for (text, platform) in [
            ("slipway.platform=ec2", Platform::Ec2),
            ("ignition.platform.id=aws", Platform::Ec2),
            ("flatcar.oem.id=packet", Platform::Packet),
            ("coreos.oem.id=gce slipway.platform=azure", Platform::Azure),
        ] {
            assert_eq!(Cmdline::parse(text).platform.map(|(platform, _)| platform), Some(platform), "{text}");
        }
        for text in ["slipway.platform=", "slipway.platform=moon", "ignition.platform.id=qemu", "platform=ec2"] {
            assert_eq!(Cmdline::parse(text).platform, None, "{text}");
        }
    }

    #[test]
    fn seeds_and_switches() {
        let cmdline = Cmdline::parse("ds=nocloud;s=http://10.0.2.2/x/;h=web coreos.configdrive=0");
        assert_eq!(cmdline.seed.unwrap().url.as_deref(), Some("http://10.0.2.2/x/"));
        assert!(cmdline.no_config_drive);
        let cmdline = Cmdline::parse("ds=ec2 coreos.configdrive=1");
        assert!(cmdline.seed.is_none() && !cmdline.no_config_drive);
    }
}
