//! The API's description, OpenAPI 3.1, made from the table of routes.

use axum::Json;
use serde_json::{Map, Value, json};

use super::routes::{ROUTES, Route};

/// `GET /api/v1/openapi.json`
pub async fn serve() -> Json<Value> {
    Json(document())
}

/// The whole description.
#[must_use]
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = route.path.replace("{*", "{");
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[route.method.http().as_str().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Slipway update server",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every change needs a bearer token; its role is named with each operation. Times are unix milliseconds.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Problem": {
                "type": "object",
                "required": ["kind", "message"],
                "properties": { "kind": { "type": "string" }, "message": { "type": "string" }, "hint": { "type": "string" } },
            } },
        },
    })
}

fn operation(route: &Route) -> Value {
    let in_path = route
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .map(|name| json!({ "name": name.trim_start_matches('*'), "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = route.query.iter().map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }));
    let mut parameters: Vec<Value> = in_path.chain(in_query).collect();
    if route.path.contains("/files/") {
        parameters.push(json!({ "name": "X-Content-SHA256", "in": "header", "required": true, "schema": { "type": "string" } }));
    }
    let problem = json!({ "description": "What went wrong", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Problem" } } } });
    let mut operation = json!({
        "operationId": format!("{}{}", route.method.http().as_str().to_ascii_lowercase(), route.path.replace(['/', '{', '}', '*', '.'], "_")),
        "summary": route.summary,
        "parameters": parameters,
        "responses": { "2XX": { "description": "Done" }, "default": problem },
    });
    if let Some(role) = route.role {
        operation["security"] = json!([{ "token": [] }]);
        operation["x-role"] = json!(role.name());
    }
    if let Some(example) = route.body {
        let example: Value = serde_json::from_str(example).unwrap_or(Value::Null);
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": { "type": "object" }, "example": example } } });
    }
    operation
}
