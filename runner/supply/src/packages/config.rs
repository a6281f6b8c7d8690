// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an apt root of ours is told: its sources.list(5) and its apt.conf(5).

use std::path::Path;

use super::{
    DebianSuite,
    apt::SOURCE,
    sources::{Mirror, SourcesError},
};

pub(super) fn sources(
    mirror: &Mirror,
    suite: DebianSuite,
    architecture: &str,
    signed_by: Option<&Path>,
) -> Result<String, SourcesError> {
    let kind = if architecture == SOURCE { "deb-src" } else { "deb" };
    let options = signed_by
        .map(|path| format!("[signed-by={}] ", path.display()))
        .unwrap_or_default();
    let line = |uri: &str, suite: DebianSuite| format!("{kind} {options}{uri} {suite} main\n");
    let security = mirror.security.as_deref();
    if suite.is_security() {
        let uri = security.ok_or(SourcesError::NoSecurity(suite))?;
        return Ok(line(uri, suite));
    }
    let mut text = line(&mirror.uri, suite);
    // The long-term security archive of bookworm has amd64 and no s390x.
    if let (DebianSuite::Bookworm, "amd64", Some(uri)) = (suite, architecture, security) {
        text += &line(uri, DebianSuite::BookwormSecurity);
    }
    Ok(text)
}

/// The root's configuration. Of the machine's own only what is needed to reach a mirror is taken over: its hooks would touch
/// the machine's state.
pub(super) fn apt_conf(dir: &Path, architecture: &str, root: bool, inherited: &str) -> String {
    let dir = dir.display();
    let mut text = format!(
        "Dir::State \"{dir}/state\";\nDir::State::status \"{dir}/state/status\";\nDir::Cache \"{dir}/cache\";\n\
         Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\nDir::Etc \"{dir}/etc\";\n\
         Dir::Etc::trusted \"/etc/apt/trusted.gpg\";\nDir::Etc::trustedparts \"/etc/apt/trusted.gpg.d/\";\n\
         Dir::Etc::netrc \"/etc/apt/auth.conf\";\nDir::Etc::netrcparts \"/etc/apt/auth.conf.d/\";\n\
         Acquire::Languages \"none\";\nAcquire::PDiffs \"false\";\n"
    );
    if architecture != SOURCE {
        let list = [
            ("APT::Architecture", architecture),
            ("APT::Architectures::", architecture),
        ];
        text.extend(list.map(|(name, value)| format!("{name} \"{value}\";\n")));
    }
    if root {
        // Apt's own user may not enter a directory of root's.
        text += "APT::Sandbox::User \"root\";\n";
    }
    let wanted = [
        "Acquire::http",
        "Acquire::https",
        "Acquire::ForceIPv",
        "Acquire::Retries",
    ];
    for line in inherited.lines() {
        if wanted.iter().any(|prefix| line.starts_with(prefix)) && !line.ends_with("\"\";") {
            text += line;
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::sources::SignedBy;

    #[test]
    fn security_updates_are_in_an_archive_of_their_own() {
        let mut mirror = Mirror {
            uri: "http://m.test/debian".to_owned(),
            signed_by: SignedBy::Trusted,
            security: Some("http://m.test/security".to_owned()),
        };
        let key = Path::new("/k.gpg");
        assert_eq!(
            sources(&mirror, DebianSuite::Bookworm, "amd64", Some(key)).unwrap(),
            "deb [signed-by=/k.gpg] http://m.test/debian bookworm main\n\
             deb [signed-by=/k.gpg] http://m.test/security bookworm-security main\n"
        );
        assert_eq!(
            sources(&mirror, DebianSuite::Bookworm, "s390x", None).unwrap(),
            "deb http://m.test/debian bookworm main\n"
        );
        assert_eq!(
            sources(&mirror, DebianSuite::Trixie, SOURCE, None).unwrap(),
            "deb-src http://m.test/debian trixie main\n"
        );
        let security = |mirror: &Mirror| sources(mirror, DebianSuite::TrixieSecurity, "s390x", None);
        assert_eq!(
            security(&mirror).unwrap(),
            "deb http://m.test/security trixie-security main\n"
        );
        mirror.security = None;
        assert_eq!(
            security(&mirror).unwrap_err().to_string(),
            "this machine's apt configuration names no archive of security updates: add an entry with the suite `trixie-security` to it"
        );
    }

    #[test]
    fn a_proxy_is_taken_over_and_a_hook_is_not() {
        let inherited = "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://p.test:3128\";\n\
            Acquire::Languages:: \"de\";\nAcquire::IndexTargets::deb \"\";\n";
        let conf = apt_conf(Path::new("/c/apt"), "s390x", true, inherited);
        assert!(conf.contains("Acquire::http::Proxy \"http://p.test:3128\";\n"));
        assert!(conf.contains("APT::Sandbox::User") && conf.contains("Dir::State \"/c/apt/state\""));
        assert!(
            !conf.contains("de\"") && !conf.contains("IndexTargets") && !conf.contains("Acquire::http \"\"")
        );
    }
}
