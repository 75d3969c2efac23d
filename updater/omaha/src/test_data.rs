//! Documents for tests, written from the facts of the protocol; no other project's words.

/// The shape of a stock client's check, with ping, check and event in one application.
pub(crate) fn stock_check(events: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<request protocol="3.0" version="update_engine-0.4.10" updaterversion="update_engine-0.4.10" installsource="scheduler" ismachine="1">
    <os version="Chateau" platform="CoreOS" sp="3732.0.0_x86_64"></os>
    <app appid="{{e96281a6-d1af-4bde-9a0a-97b76e56dc57}}" version="3732.0.0" track="stable" bootid="{{5b5c9d5e-3f0a-4f0e-9a51-0f6d2c3b4a59}}" oem="qemu" oemversion="" alephversion="3510.2.1" machineid="00112233445566778899aabbccddeeff" machinealias="rack 4 &amp; up" lang="en-US" board="amd64-usr" hardware_class="" delta_okay="false" >
        <ping active="1"></ping>
        <updatecheck></updatecheck>
{events}    </app>
</request>
"#
    )
}

/// An application with `content` in it and nothing else to say.
pub(crate) fn bare_app(content: &str) -> String {
    format!(r#"<request protocol="3.0"><app appid="x">{content}</app></request>"#)
}

/// An answer with one application with `content` in it.
pub(crate) fn answer(content: &str) -> String {
    format!(
        r#"<response protocol="3.0" server="test"><daystart elapsed_seconds="12"/><app appid="x" status="ok">{content}</app></response>"#
    )
}

/// An update as servers of today offer it.
pub(crate) const UPDATE: &str = r#"<ping status="ok"/><event status="ok"/><updatecheck status="ok" PollInterval="3600">
    <urls><url codebase="https://one.example/os"/><url codebase="https://two.example/os/"/></urls>
    <manifest version="3760.1.0">
        <packages>
            <package name="update.gz" hash="2jmj7l5rSw0yVb/vlWAYkK/YBwk=" hash_sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" size="382137917" required="true"/>
            <package name="oem-qemu.gz" hash_sha256="47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" size="12" required="false"/>
        </packages>
        <actions>
            <action event="install" sha256="" arguments="--go"/>
            <action event="postinstall" sha256="47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" DisplayVersion="3760.1.0" needsadmin="false" IsDeltaPayload="false" DisablePayloadBackoff="true" MaxFailureCountPerUrl="3" MetadataSize="190" deadline="now"/>
        </actions>
    </manifest>
</updatecheck>"#;
