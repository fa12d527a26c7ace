//! `squall certs`: an authority of one's own, and certificates of it; for development and tests.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::{Args, Subcommand};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::verb::EPILOGUE;

/// Clocks of other machines may be behind.
const BEFORE: Duration = Duration::from_secs(60 * 60);

/// Arguments of `squall certs`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall certs init                               makes certs/ca.crt and certs/ca.key
  squall certs issue b.localhost 127.0.0.1        makes certs/b.localhost.crt and its .key
  squall certs issue '*.b.example' --as b         makes certs/b.crt and certs/b.key",
    after_long_help = EPILOGUE
)]
pub(crate) struct CertsArgs {
    #[command(subcommand)]
    verb: CertsVerb,
}

#[derive(Debug, Subcommand)]
enum CertsVerb {
    /// Makes an authority: whoever trusts its certificate trusts everything that is issued with its key
    Init {
        /// Where its files go; made when it is not there
        #[arg(value_name = "DIR", default_value = "certs")]
        directory: PathBuf,
        /// How long it is good
        #[arg(long, value_name = "N", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
    },
    /// Issues a certificate for servers and clients, signed by the authority
    Issue {
        /// Host names (`*.` stands for one label) and IP addresses
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Where the authority's files are, and where the new ones go
        #[arg(long = "in", value_name = "DIR", default_value = "certs")]
        directory: PathBuf,
        /// The name of the new files, without extension [default: the first name]
        #[arg(long = "as", value_name = "STEM")]
        stem: Option<String>,
        /// How long it is good
        #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
    },
}

/// Does it.
pub(crate) fn execute(args: &CertsArgs) -> Outcome {
    match &args.verb {
        CertsVerb::Init { directory, days } => init(directory, *days),
        CertsVerb::Issue { names, directory, stem, days } => issue(names, directory, stem.as_deref(), *days),
    }
}

fn init(directory: &Path, days: u32) -> Outcome {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut params = CertificateParams::default();
    limit(&mut params, days);
    params.distinguished_name.push(DnType::CommonName, "Squall development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(anyhow::Error::from)?;
    let certificate = params.self_signed(&key).map_err(anyhow::Error::from)?;
    let files = Files::new(directory, "ca");
    files.write(&certificate.pem(), &key.serialize_pem())?;
    let here = directory.display();
    output::say(&format!(
        "wrote {} and {}; keep the key to yourself\n\
         issue a certificate:  squall certs issue localhost 127.0.0.1 --in {here}\n\
         trust it:             curl --cacert {here}/ca.crt …, or tls: {{ ca: {here}/ca.crt }} on a cluster\n\
         open HTTPS with it:   intercept: {{ names: […], cert: {here}/ca.crt, key: {here}/ca.key }} on a forward proxy",
        files.cert.display(),
        files.key.display(),
    ));
    Ok(Exit::Ok)
}

fn issue(names: &[String], directory: &Path, stem: Option<&str>, days: u32) -> Outcome {
    let first = names.first().context("a name is required")?;
    let files = Files::new(directory, &stem_of(stem.unwrap_or(first))?);
    let mut params = CertificateParams::new(names.to_vec())
        .map_err(|error| Failure::caused_by(Exit::Usage, error).of(names.join(", ")))?;
    limit(&mut params, days);
    params.distinguished_name.push(DnType::CommonName, first.as_str());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let authority = authority(&Files::new(directory, "ca"))?;
    let key = KeyPair::generate().map_err(anyhow::Error::from)?;
    let certificate = params.signed_by(&key, &authority).map_err(anyhow::Error::from)?;
    files.write(&certificate.pem(), &key.serialize_pem())?;
    let (cert, key) = (files.cert.display(), files.key.display());
    output::say(&format!(
        "wrote {cert} and {key}\nshow it on a listener or cluster:  tls: {{ cert: {cert}, key: {key} }}"
    ));
    Ok(Exit::Ok)
}

/// From now on, for so many days.
fn limit(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + Duration::from_secs(u64::from(days) * 24 * 60 * 60)).into();
}

fn authority(files: &Files) -> Result<Issuer<'static, KeyPair>, Failure> {
    let read = |file: &Path| {
        std::fs::read_to_string(file).map_err(|error| {
            let fix = "squall certs init makes an authority; --in says where it is";
            Failure::new(Exit::Failure, format!("cannot read {}: {error}; {fix}", file.display()))
        })
    };
    let (cert, key) = (read(&files.cert)?, read(&files.key)?);
    let key = KeyPair::from_pem(&key).with_context(|| format!("{} is not a private key", files.key.display()))?;
    let issuer = Issuer::from_ca_cert_pem(&cert, key);
    Ok(issuer.with_context(|| format!("{} is not a certificate", files.cert.display()))?)
}

/// What files for this name are called: a star is no part of a good one.
fn stem_of(name: &str) -> Result<String, Failure> {
    let stem = name.replacen("*.", "any.", 1).replace(':', "-");
    if stem == "ca" || stem.is_empty() || stem.starts_with('.') || stem.contains('/') {
        let message = format!("{name:?} cannot name the files; choose one with --as");
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(stem)
}

/// A certificate and its key.
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(directory: &Path, stem: &str) -> Self {
        Self { cert: directory.join(format!("{stem}.crt")), key: directory.join(format!("{stem}.key")) }
    }

    /// Writes both, the key for its owner alone; never over a file that is there.
    fn write(&self, cert: &str, key: &str) -> Result<(), Failure> {
        if let Some(taken) = [&self.cert, &self.key].into_iter().find(|file| file.exists()) {
            let fix = "remove it first, or name another place";
            return Err(Failure::new(Exit::Failure, format!("{} exists already; {fix}", taken.display())));
        }
        for (file, text, mode) in [(&self.key, key, 0o600), (&self.cert, cert, 0o644)] {
            let created = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
            let written = created.and_then(|mut new| new.write_all(text.as_bytes()));
            written.with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }
}
