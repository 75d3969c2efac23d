//! What a blob of user data is: cloud-config, script, gzip or MIME of several.
