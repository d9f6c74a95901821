//! All doubles on fixed ports, for a developer with a browser: `cargo run -p chautari-doubles`, and
//! a `chautari up` that is pointed to them by the settings that are printed.

use doubles::aakash::Aakash;
use doubles::cloudinary::Cloudinary;
use doubles::esewa::{self, Esewa};
use doubles::fcm::Fcm;
use doubles::khalti::Khalti;
use doubles::s3::S3;
use doubles::smtp::Smtp;
use doubles::sparrow::Sparrow;
use doubles::stripe::Stripe;
use doubles::{Double, World};
use std::io;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;

/// Where Khalti is.
const KHALTI_PORT: u16 = 7501;
/// Where eSewa is.
const ESEWA_PORT: u16 = 7502;
/// Where Stripe is.
const STRIPE_PORT: u16 = 7503;
/// Where Firebase is.
const FCM_PORT: u16 = 7504;
/// Where Sparrow is.
const SPARROW_PORT: u16 = 7505;
/// Where Aakash is.
const AAKASH_PORT: u16 = 7506;
/// Where the mail server is.
const SMTP_PORT: u16 = 7507;
/// What the carriers of messages know us by.
const MESSAGES_KEY: &str = "double-of-messages";
/// Where Cloudinary is.
const CLOUDINARY_PORT: u16 = 7508;
/// Where the S3-compatible store is.
const S3_PORT: u16 = 7509;
/// Khalti's key; any will do between the two programs.
const KHALTI_KEY: &str = "double-of-khalti";
/// Stripe's key and the secret of its webhooks.
const STRIPE_KEY: &str = "sk_test_double";
const STRIPE_WEBHOOK_SECRET: &str = "whsec_double";

#[tokio::main]
async fn main() -> io::Result<()> {
    let world = World::real();
    let khalti = Double::serve(listen(KHALTI_PORT).await?, Khalti::new(KHALTI_KEY), world.clone())?;
    let esewa = Double::serve(listen(ESEWA_PORT).await?, Esewa::new(), world.clone())?;
    let stripe = Stripe::new(STRIPE_KEY, &[STRIPE_WEBHOOK_SECRET]);
    let stripe = Double::serve(listen(STRIPE_PORT).await?, stripe, world.clone())?;
    let cloudinary = Cloudinary::new("double", "key", "secret");
    let cloudinary = Double::serve(listen(CLOUDINARY_PORT).await?, cloudinary, world.clone())?;
    let pictures = cloudinary.base_url();
    let s3 =
        Double::serve(listen(S3_PORT).await?, S3::new("pictures", "local", "key", "secret"), world.clone())?;
    let fcm = Double::serve(listen(FCM_PORT).await?, Fcm::new(), world.clone())?;
    let sparrow = Sparrow::new(MESSAGES_KEY, "Chautari");
    let sparrow = Double::serve(listen(SPARROW_PORT).await?, sparrow, world.clone())?;
    let aakash = Double::serve(listen(AAKASH_PORT).await?, Aakash::new(MESSAGES_KEY), world.clone())?;
    let smtp = Smtp::serve(listen(SMTP_PORT).await?, "chautari", MESSAGES_KEY, world, true)?;
    let (khalti, esewa, stripe) = (khalti.base_url(), esewa.base_url(), stripe.base_url());
    println!(
        "The doubles are up. Put this into chautari.toml:\n\
         \n[payments.khalti]\nsecret_key = \"{KHALTI_KEY}\"\nbase_url = \"{khalti}\"\n\
         \n[payments.esewa]\nproduct_code = \"{}\"\nsecret_key = \"{}\"\nform_base_url = \"{esewa}\"\nstatus_base_url = \"{esewa}\"\n\
         \n[payments.stripe]\nsecret_key = \"{STRIPE_KEY}\"\nwebhook_secrets = [\"{STRIPE_WEBHOOK_SECRET}\"]\nbase_url = \"{stripe}\"\n\
         \n[push]\nservice_account = '''{}'''\nbase_url = \"{}\"\n\
         \n[sms]\nprovider = \"sparrow\"\nfallback = \"aakash\"\n\
         \n[sms.sparrow]\ntoken = \"{MESSAGES_KEY}\"\nfrom = \"Chautari\"\nbase_url = \"{}\"\n\
         \n[sms.aakash]\nauth_token = \"{MESSAGES_KEY}\"\nbase_url = \"{}\"\n\
         \n[mail]\nprovider = \"smtp\"\nurl = \"{}\"\nfrom = \"Chautari <help@chautari.example>\"\n\
         \n[media.cloudinary]\ncloud_name = \"double\"\napi_key = \"key\"\napi_secret = \"secret\"\napi_base_url = \"{pictures}\"\ndelivery_base_url = \"{pictures}\"\n\
         \n# or, instead of Cloudinary\n# [media.s3]\n# endpoint = \"{}\"\n# bucket = \"pictures\"\n# region = \"local\"\n# access_key_id = \"key\"\n# secret_access_key = \"secret\"\n\
         \nWhat they were asked: curl {khalti}/_double\n\
         How they can fail: curl {khalti}/_double/misbehave --json '{{\"what\":\"html_page\",\"status\":502,\"times\":3}}'",
        esewa::TEST_PRODUCT,
        esewa::TEST_KEY,
        fcm.service_account(),
        fcm.base_url(),
        sparrow.base_url(),
        aakash.base_url(),
        smtp.url(),
        s3.base_url(),
    );
    std::future::pending().await
}

async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}
