//! What sidecars get where their pods say nothing else.

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::Args;
use squall_inject::{Controller, Options, Setting};

/// Stands for the authority until there is one.
const NO_AUTHORITY: &str = "-----BEGIN CERTIFICATE-----";

/// The injection part of `squall-kubernetes run`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Injection")]
pub(crate) struct WebhookArgs {
    /// The image of sidecars [default: squall, of this version]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The image of squall-init, which has nft or iptables [default: squall-net-init, of this version]
    #[arg(long, value_name = "IMAGE")]
    init_image: Option<String>,
    /// How connections get to a sidecar: native or explicit [default: native]
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// What an annotation squall.dev/NAME of a pod would say: skip-subnets=10.96.0.0/12; can be repeated
    #[arg(long = "inject-default", value_name = "NAME=VALUE", value_parser = setting)]
    defaults: Vec<(Setting, String)>,
    /// Where sidecars ask for orders [default: the Service, by HTTPS at port 443]
    #[arg(long, value_name = "URL")]
    controller_url: Option<String>,
}

fn setting(text: &str) -> Result<(Setting, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "write NAME=VALUE, such as mode=explicit".to_owned())?;
    let known = Setting::ALL.into_iter().find(|setting| setting.name() == name);
    let names = || Setting::ALL.map(Setting::name).join(", ");
    Ok((known.ok_or_else(|| format!("{name:?} is none of {}", names()))?, value.to_owned()))
}

impl WebhookArgs {
    /// The options of the pod patch, checked; without the authority of the controller, which may not be there yet.
    ///
    /// # Errors
    /// Values that no pod could get.
    pub(crate) fn options(&self, own_namespace: &str, controller: Option<&str>) -> anyhow::Result<Options> {
        let own = [(Setting::Image, &self.image), (Setting::InitImage, &self.init_image), (Setting::Mode, &self.mode)];
        let own = own.into_iter().filter_map(|(setting, value)| Some((setting, value.clone()?)));
        let defaults: BTreeMap<Setting, String> = self.defaults.iter().cloned().chain(own).collect();
        let controller = controller.map(|url| Controller { url: url.to_owned(), ca: NO_AUTHORITY.to_owned() });
        let options = Options { defaults, own_namespace: own_namespace.to_owned(), controller };
        options.check().context("what sidecars get by default cannot be used")?;
        Ok(options)
    }

    /// Where sidecars ask for orders.
    pub(crate) fn controller_url(&self, service: &str, namespace: &str) -> String {
        self.controller_url.clone().unwrap_or_else(|| format!("https://{service}.{namespace}.svc:443"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        webhook: WebhookArgs,
    }

    fn options(arguments: &[&str]) -> Result<Options, String> {
        let line = Line::try_parse_from(std::iter::once(&"x").chain(arguments)).map_err(|error| error.to_string())?;
        line.webhook
            .options("squall", Some(&line.webhook.controller_url("squall", "squall")))
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn every_setting_has_a_name_and_an_own_flag_wins() {
        let given = ["--inject-default", "image=a", "--image", "b", "--inject-default", "skip-subnets=10.0.0.0/8"];
        let options = options(&given).unwrap();
        assert_eq!(options.defaults[&Setting::Image], "b");
        assert_eq!(options.defaults[&Setting::SkipSubnets], "10.0.0.0/8");
        assert_eq!(options.own_namespace, "squall");
    }

    #[test]
    fn what_no_pod_could_get_is_refused_at_the_start() {
        for (given, why) in [
            (["--inject-default", "colour=red"], "\"colour\" is none of mode, image"),
            (["--inject-default", "mode"], "NAME=VALUE"),
            (["--mode", "magic"], "mode"),
            (["--inject-default", "cpu-limit=lots"], "cpu-limit"),
            (["--controller-url", "http://plain"], "is not https://"),
        ] {
            let said = options(&given).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn sidecars_ask_the_service_unless_told_otherwise() {
        let line = |arguments: &[&str]| Line::try_parse_from(std::iter::once(&"x").chain(arguments)).unwrap().webhook;
        assert_eq!(line(&[]).controller_url("squall", "chaos"), "https://squall.chaos.svc:443");
        assert_eq!(line(&["--controller-url", "https://a"]).controller_url("squall", "chaos"), "https://a");
    }
}
