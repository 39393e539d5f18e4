//! Jars from Maven Central, fetched once into `.test/` of the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::run;
use crate::{Result, packages};

const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies";
/// Small and fast to start.
const JAVA: [&str; 4] = ["-Xmx256m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// The folder with the jars of these `group:artifact:version` and of what they need. Test processes that come at the
/// same moment wait for each other.
pub(crate) fn jars(root: &Path, name: &str, artifacts: &[&str]) -> Result<PathBuf> {
    let home = root.join(".test").join(name);
    let at = |e: std::io::Error| format!("{}: {e}", home.display());
    fs::create_dir_all(&home).map_err(at)?;
    let lock = fs::File::create(home.join("lock")).map_err(at)?;
    lock.lock().map_err(at)?;
    for (program, package) in [("java", "default-jre-headless"), ("mvn", "maven")] {
        if !is_there(program) {
            packages::install(package)?;
        }
    }
    let (libs, wanted) = (home.join("libs"), pom(name, artifacts));
    let stamp = libs.join(".pom");
    if fs::read_to_string(&stamp).is_ok_and(|known| known == wanted) {
        return Ok(libs);
    }
    // What was fetched in part is fetched again.
    let _ = fs::remove_dir_all(&libs);
    let file = home.join("pom.xml");
    fs::write(&file, &wanted).map_err(at)?;
    run(Command::new("mvn")
        .args(["-B", "-q", "-f"])
        .arg(&file)
        .arg(format!("-Dmaven.repo.local={}", home.join("m2").display()))
        .args([PLUGIN, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", libs.display())))?;
    fs::write(&stamp, wanted).map_err(at)?;
    Ok(libs)
}

/// A Java that compiles too.
pub(crate) fn compiler() -> Result<()> {
    if is_there("javac") { Ok(()) } else { packages::install("default-jdk-headless") }
}

/// Java with these jars; `level` is what it logs.
pub(crate) fn java(jars: &Path, level: &str) -> Command {
    let mut command = Command::new("java");
    command
        .args(JAVA)
        .arg(format!("-Dorg.slf4j.simpleLogger.defaultLogLevel={level}"))
        .arg("-cp")
        .arg(jars.join("*"));
    command
}

fn pom(name: &str, artifacts: &[&str]) -> String {
    let mut out = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  <modelVersion>4.0.0</modelVersion>\n  \
         <groupId>test</groupId><artifactId>{name}</artifactId><version>1</version>\n  \
         <packaging>pom</packaging>\n  <dependencies>\n"
    );
    for artifact in artifacts {
        let mut parts = artifact.split(':');
        let mut part = || parts.next().unwrap_or_default();
        let (group, artifact, version) = (part(), part(), part());
        out.push_str(&format!(
            "    <dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>\n"
        ));
    }
    out + "  </dependencies>\n</project>\n"
}

fn is_there(program: &str) -> bool {
    let found = |path: std::ffi::OsString| std::env::split_paths(&path).any(|f| f.join(program).is_file());
    std::env::var_os("PATH").is_some_and(found)
}
