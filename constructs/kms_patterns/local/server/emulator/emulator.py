"""Everything of the emulator that we call or replace, checked by name and parameters before the server starts.

The emulator has no published extension points, so its internals are reached here and nowhere else. A release
that renames one of them must stop the server, not let it answer with the behaviour that we meant to replace.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

EXPECTED_VERSION = "1.5.33"

APP = "ministack.app"
RESPONSES, ROUTER = "ministack.core.responses", "ministack.core.router"
EVALUATOR, ACTIONS = "ministack.core.iam_evaluator", "ministack.core.iam_actions"
LAMBDA_RUNTIME = "ministack.core.lambda_runtime"
KMS, S3, STS = "ministack.services.kms", "ministack.services.s3", "ministack.services.sts"
IAM, LAMBDA, TAGGING = "ministack.services.iam", "ministack.services.lambda_svc", "ministack.services.tagging"
SSM, SECRETS_MANAGER = "ministack.services.ssm", "ministack.services.secretsmanager"
SQS, SNS = "ministack.services.sqs", "ministack.services.sns"
DYNAMODB, DYNAMODB_STREAMS = "ministack.services.dynamodb", "ministack.services.dynamodb_streams"
CLOUD_CONTROL, CLOUD_TRAIL = "ministack.services.cloudcontrol", "ministack.services.cloudtrail"
CLOUD_WATCH, EVENTS = "ministack.services.cloudwatch", "ministack.services.eventbridge"
ECR, FIREHOSE, KINESIS, SCHEDULER = (f"ministack.services.{it}" for it in ("ecr", "firehose", "kinesis", "scheduler"))
LOGS, STEP_FUNCTIONS = "ministack.services.cloudwatch_logs", "ministack.services.stepfunctions"
CLOUDFORMATION = "ministack.services.cloudformation"
STACKS, ENGINE = "ministack.services.cloudformation.stacks", "ministack.services.cloudformation.engine"
STACK_OPERATIONS = "ministack.services.cloudformation.handlers"
CHANGE_SETS = "ministack.services.cloudformation.changesets"
CUSTOM_RESOURCES = "ministack.services.cloudformation.custom_resource"
PROVISIONERS = "ministack.services.cloudformation.provisioners"

_HANDLER = "method path headers body query_params"
_NAMES = {"_physical_name": "stack_name logical_id lowercase max_len seeded"}
_STEPS = {
    "_delete_resource": "resource_type physical_id props stack_name logical_id",
    "_provision_resource": "resource_type logical_id props stack_name",
    "_update_resource": "resource_type physical_id old_props new_props stack_name logical_id old_attrs",
}
_CONDITIONS = {"_evaluate_conditions": "template params"}
_DOCUMENT, _REGIONAL = {"validate_policy_document": "doc"}, "=AccountRegionScopedDict"
_PARAMETERS = "template provided_params previous_params"
_OF_KMS = {
    "handle_request": "method path headers body query_params", "_aliases": _REGIONAL, "_alias_dates": _REGIONAL,
    "_alias_arn": "alias_name", "_create_key": "data", "_grants": _REGIONAL, "_key_metadata": "rec",
    "_keys": _REGIONAL, "_KEY_MATERIAL_FIELDS": "=tuple", "_mrk_members": "rec", "_replicate_key": "data",
    "_schedule_key_deletion": "data", "_generate_data_key_pair_common": "data action", "_key_material_id": "rec",
    "_resolve_key": "key_id_or_arn", "_store_imported_material": "rec material",
    "_unwrap_key_material": "private_key algorithm wrapped",
}  # fmt: skip
_OF_CLOUD_WATCH = {
    "handle_request": _HANDLER, "_alarms": _REGIONAL, "_metrics": _REGIONAL, "_calc_stats": "points",
    "_dispatch_alarm_actions": "alarm old_state new_state reason", "_evaluate_alarm": "alarm",
    "_evaluate_all_alarms": "", "_evaluate_parent_alarms": "child seen",
    "_record_history": "alarm_name old_state new_state reason alarm_type reason_data",
    "_stat_value": "stats stat_name points", "record_metric": "namespace metric_name value unit dimensions",
}  # fmt: skip
_OF_EVALUATOR = {
    "_resolve_managed_policy_document": "policy_arn account_id", "parse_policy_document": "doc",
    "enforce": "access_key_id iam_action service region resource_arn service_context", "_is_root_key": "access_key_id",
    "is_root_access_key": "access_key_id", "pin_request_origin": "source_ip secure_transport",
    "evaluate_trust_policy": "trust_doc caller_arn ctx",
    "evaluate_resource_policy": "doc ctx service named_only direct_only", **_DOCUMENT,
    "resolve_principal": "access_key_id account_id credential", "_principal_keys": "credential",
    "_first_match": "ctx stmts effect", "_permissions_boundary": "store name account_id",
    "combine_resource_policy": "identity ctx policy owner_account required limits",
    "_session_policy_limits": "session account_id", "evaluate": "ctx policies limits",
    "_resource_policy": "service resource_arn", "_resolve_condition_key": "key ctx", "_signed_request": "=ContextVar",
    "EvalContext": "principal_arn principal_type principal_account action resource_arn region source_ip"
    " secure_transport request_tags tag_keys service_context principal_keys",
    "EvalResult": "decision principal_arn matched_sid reason resource_policy_arn", "AuthError": "code message details",
}  # fmt: skip
_OF_S3 = {
    "_check_sse_c_copy_source": "headers src_obj", "_check_sse_c_part": "headers upload",
    "_check_sse_read_headers": "headers obj", "_SSE_STORED_HEADERS": "=tuple", "_MALFORMED_XML": "=str",
    "_access_point_policy": "name method body", "_access_points": _REGIONAL, "_policy_is_public": "policy_text",
    "_delete_objects": "bucket_name body headers", "_parse_multipart_form": "content_type body",
    "_enforce_signed_post_policy": "fields bucket_name region size sigv4",
    "object_tags_for_condition": "bucket_name key query_params", "_merge_hoisted_amz_headers": "headers query_params",
    "_bucket_default_sse_headers": "bucket_name", "_bucket_has_versions": "name",
    "_get_object_data": "bucket_name key version_id",
    "_dispatch": "method bucket key headers body query_params", "_put_bucket_notification": "name body headers",
    "_persist_version_state": "bucket_name key bucket", "_error": "code message status resource extra headers",
    "_resolve_sse_write_headers": "headers bucket_name", "_validate_sse_c_headers": "c_alg c_key c_md5",
    "_deliver_event_to_lambda": "arn event_payload bucket_region", **dict.fromkeys(
        ("_deliver_event_to_sns", "_deliver_event_to_sqs"), "arn event_payload bucket_region bucket_name"),
    "s3control_account_error": "headers", "s3control_error": "code message status extra", "md5_hash": "data",
    **dict.fromkeys(
        ("_bucket_encryption", "_bucket_object_lock", "_bucket_request_payment_config", "_bucket_versioning",
         "_buckets", "_multipart_uploads", "_object_legal_hold", "_object_retention", "_object_tags",
         "_object_versions"), "=AccountScopedDict"),
    **{f"_delete_bucket_{name}": "name" for name in ("encryption", "lifecycle", "tagging")},
    **{f"_put_bucket_{name}": "name body" for name in ("encryption", "lifecycle", "tagging")},
}  # fmt: skip
_OF_IAM = {
    "_trust_policy_not_principal_error": "doc", **dict.fromkeys(
        ("_access_keys", "_group_inline_policies", "_groups", "_instance_profiles", "_login_profiles", "_policies",
         "_roles", "_user_inline_policies", "_users"), "=AccountScopedDict"),
}  # fmt: skip
_OF_EVENTS = {
    "_apply_input_transformer": "transformer rule view", "_dispatch_event": "event view",
    "_invoke_target": "target event rule view", "_matches_pattern_view": "pattern_str view owner",
    "_pattern_event_view": "event", "_rule_key": "rule_name bus_name", "_rules": _REGIONAL, "_targets": _REGIONAL,
}  # fmt: skip
_OF_LAMBDA_RUNTIME = {
    "_NODEJS_WORKER_SCRIPT": "=str", "_PYTHON_WORKER_SCRIPT": "=str", "Worker": "func_name config code_zip",
    "execution_credentials": "config",
}  # fmt: skip
_OF_LAMBDA = {
    "handle_request": _HANDLER, "_emit_lambda_logs": "func request_id log_text error duration_ms log_source",
    "_execute_function_warm": "func event request_id", "_execute_function_with_config_scope": "func event",
    "_get_func_record_for_ref": "function_ref", "_execute_function": "func event",
    "_fetch_code_from_s3": "bucket key version_id",
    "handle_function_url_request": "url_id method path headers body query_params resolved source_ip",
    **dict.fromkeys(("_esm_backoff_until", "_esms", "_functions"), _REGIONAL),
    **dict.fromkeys(("_poll_dynamodb_streams", "_poll_kinesis"), ""),
    "_sqs_esm_concurrency": "esm func_rec config queue", "_route_async_failure": "target_arn func_name event result",
    "_send_ddb_stream_failure_record": "esm func_rec batch stream_arn result condition",
}  # fmt: skip
_OF_STEP_FUNCTIONS = {
    "handle_request": _HANDLER, **dict.fromkeys((
        "_executions", "_map_runs", "_state_machine_versions", "_state_machines"), _REGIONAL),
    "_execution_version_arn": "arn", "_SERVICE_DISPATCH": "=dict", "_ExecutionError": "error cause",
    "_call_lambda": "func_ref event",
    "_fail_execution": "execution error cause", "_run_execution": "exec_arn", "_next_or_end": "state_def",
    "_resolve_params_obj": "template data ctx", "_resolve_path_or_ctx": "path data ctx",
    "_emit_execution_status_event": "execution", "_add_event": "execution event_type details",
    "_run_distributed_map": "state_def raw_input effective iterator execution ctx",
    "_run_sub_machine": "states start_at input_data execution ctx", "_state_query_language": "state_def ctx",
    "_apply_jsonata_template": "value raw_input ctx result error_output", "_apply_result_selector": "state_def data",
    "_apply_jsonata_output": "state_def raw_input ctx result error_output default",
    "_apply_output_path": "state_def data ctx", "_apply_result_path": "state_def original result",
    "_apply_state_assign": "state_def raw_input ctx result error_output",
    **{f"_execute_{kind}": "state_def raw_input execution ctx" for kind in ("map", "parallel", "task")},
    **{f"_execute_{kind}": "state_def raw_input ctx" for kind in ("choice", "pass", "wait")},
    **dict.fromkeys(("_invoke_aws_sdk_integration", "_invoke_nested_start_execution",
                     "_invoke_nested_start_execution_sync"), "resource input_data"),
    **dict.fromkeys(("_create_state_machine", "_describe_execution", "_test_state", "_update_state_machine",
                     "_start_execution", "_start_sync_execution", "_validate_state_machine_definition"), "data"),
}  # fmt: skip
_OF_SQS = {
    "handle_request": _HANDLER, "_get_q": "url action", "_queue_name_to_url": _REGIONAL, "_dlq_sweep": "q",
    "_Err": "code message status", "_queue_by_arn": "arn", "_url_from_path": "path", "_xml_err_resp": "code msg status",
}  # fmt: skip
_OF_APP = {
    "_enforce_data_plane": "service iam_action headers query_params request_id resource_arn service_context"
    " auth_error_response named_resource", "app": "scope receive send", "AUTH": "=bool",
    "_handle_s3_control_request": "path method body query_params request_id headers",
    "_build_persistence_save_dict": "", "save_all": "services",
    "call_service_handler_sync": "handler method path headers body query_params timeout",
    "_dispatch_service_request": f"{_HANDLER} request_id",
    "_handle_special_data_plane_request": f"{_HANDLER} request_id raw_path raw_query_string client_ip",
}  # fmt: skip
_OF_ACTIONS = {
    "extract_resource_arn": "service method path headers body query_params region account_id",
    "s3_service_context": "iam_action query_params path headers", "_S3_OBJECT_QUERY_ACTIONS": "=dict",
    "access_denied_response": "service action principal_arn request_id error_code message headers resource_arn"
    " explicit_deny resource_policy_arn", "_BOTOCORE_SERVICE_MAP": "=dict", "_s3_batch_delete_targets": "bucket body",
    "identity_denial_message": "action principal_arn resource explicit_deny",
    "_s3_action": "method path query_params", "s3_additional_checks": "method path headers body query_params",
    "_resource_policy_denial": "service action principal_arn resource_arn",
    "_match_rest_action": "service method path query_params", "request_tag_context": "service iam_action body params",
    "extract_iam_action": "service method path headers body query_params",
}  # fmt: skip
_DELIVERS = {"_deliver_to_sqs": "endpoint envelope raw raw_message message_group_id message_dedup_id message_attributes"
             " topic_arn", "_deliver_to_lambda": "endpoint envelope topic_arn sub_arn msg_id raw_message"
             " message_attributes", "_error": "code message status", "_topics": _REGIONAL}  # fmt: skip
_OF_RESPONSES = {
    "get_account_id": "", "get_region": "", "now_iso": "", "request_scope": "account_id region",
    "set_request_account_id": "access_key_id",
}  # fmt: skip
_OF_STACKS = {
    "_add_event": "stack_id stack_name logical_id resource_type status reason physical_id detailed_status",
    "_property_recreation": "resource_type name", "_topological_sort": "resources conditions", **_STEPS, **_CONDITIONS,
    "_resolve_stack_outputs": "outputs_defs conditions resources param_values mappings stack_name stack_id",
}  # fmt: skip
_OF_ENGINE = {
    "_resolve_dynamic_reference": "literal", "_resolve_parameters": _PARAMETERS, **_CONDITIONS,
    "_resolve_refs": "value resources params conditions mappings stack_name stack_id",
}  # fmt: skip
# A function by its parameter names; anything else by its type, marked with "=".
REQUIRED: Mapping[str, Mapping[str, str]] = {
    APP: _OF_APP, RESPONSES: _OF_RESPONSES, EVALUATOR: _OF_EVALUATOR, ACTIONS: _OF_ACTIONS, KMS: _OF_KMS, S3: _OF_S3,
    ROUTER: {"extract_access_key_id": "headers query_params"}, LAMBDA_RUNTIME: _OF_LAMBDA_RUNTIME, IAM: _OF_IAM,
    STS: {"handle_request": _HANDLER, "register_session": "access_key session", "_sessions": "=dict", **_DOCUMENT},
    SSM: {"handle_request": _HANDLER, "_lookup_parameter": "name_or_arn allow_arn_region flexible_name",
          "_param_arn": "name", **dict.fromkeys(("_parameters", "_parameter_history"), _REGIONAL)},
    SECRETS_MANAGER: {"handle_request": _HANDLER, "_resolve": "secret_id use_arn_scope", "_secrets": _REGIONAL,
                      "_delete_replicas": "secret", "_replicate_secret_to_regions": "data"},
    SQS: _OF_SQS, LAMBDA: _OF_LAMBDA, EVENTS: _OF_EVENTS, SCHEDULER: {"_schedules": _REGIONAL},
    SNS: {"handle_request": _HANDLER, "_get_topic": "topic_arn action", **_DELIVERS}, CLOUD_WATCH: _OF_CLOUD_WATCH,
    DYNAMODB: {"handle_request": _HANDLER, **dict.fromkeys(("_backups", "_resource_policies", "_tables"), _REGIONAL)},
    DYNAMODB_STREAMS: {"handle_request": _HANDLER, "_decode_iterator": "token"}, KINESIS: {"_streams": _REGIONAL},
    ECR: dict.fromkeys(("_images", "_repositories"), _REGIONAL), CLOUD_TRAIL: {"_get_event_queue": ""},
    FIREHOSE: {"_deliver_to_s3": "stream dest record_data lambda_keys", "_put_s3_object": "bucket key body"},
    LOGS: {"handle_request": _HANDLER, **dict.fromkeys(("_log_group_policies", "_log_groups", "_resource_policies"),
           _REGIONAL), **dict.fromkeys(("_create_log_group", "_create_log_stream", "_put_log_events"), "data")},
    STEP_FUNCTIONS: _OF_STEP_FUNCTIONS, STACKS: _OF_STACKS, ENGINE: _OF_ENGINE,
    CLOUDFORMATION: {"handle_request": _HANDLER, **dict.fromkeys(("_change_sets", "_exports", "_stacks"), _REGIONAL)},
    CLOUD_CONTROL: {"handle_request": _HANDLER}, TAGGING: {"resource_tags": "arn", "_RESOURCE_TAG_COLLECTORS": "=dict"},
    CUSTOM_RESOURCES: {"_pending": "=dict", "deliver_response": "token response"},
    STACK_OPERATIONS: {"_resolve_parameters": _PARAMETERS, "_imported_export_names": "stack stack_name", **_CONDITIONS},
    CHANGE_SETS: {"_resolve_parameters": _PARAMETERS, **_CONDITIONS},
    PROVISIONERS: {"_RESOURCE_HANDLERS": "=dict", "_S3_BUCKET_CONFIGURATIONS": "=tuple", **_NAMES, **_STEPS},
}  # fmt: skip


class EmulatorMismatch(RuntimeError):
    """The installed emulator is not the one whose behaviour we replace; the message says what differs."""


def check(modules: Iterable[str] = ()) -> None:
    """Compare the installed emulator, or some ``modules`` of it, with ``EXPECTED_VERSION`` and ``REQUIRED``.

    Raises:
        EmulatorMismatch: It is missing, has another version, or lacks something that we rely on.
    """
    try:
        found = version("ministack")
    except PackageNotFoundError as missing:
        raise EmulatorMismatch("ministack is not installed: install cdk-kms-patterns[local]") from missing
    if found != EXPECTED_VERSION:
        raise EmulatorMismatch(f"ministack {found} is installed, this release works with {EXPECTED_VERSION} only")
    differences = [
        f"{module}.{name} is {shape(import_module(module), name)!r}, expected {expected!r}"
        for module in modules or REQUIRED
        for name, expected in REQUIRED[module].items()
        if shape(import_module(module), name) != expected
    ]
    if differences:
        raise EmulatorMismatch("ministack does not have the functions that we rely on: " + "; ".join(differences))


def shape(module: object, name: str) -> str:
    """Return a function's parameter names, or ``=`` and the type of anything else, or ``missing``."""
    if not hasattr(module, name):
        return "missing"
    value = getattr(module, name)
    if not callable(value) or isinstance(value, Mapping):
        return f"={type(value).__name__}"
    return " ".join(inspect.signature(value).parameters)


def reach(module: str, name: str) -> Any:
    """Return ``name`` of ``module``; only what ``REQUIRED`` lists, so that nothing unchecked is relied on."""
    if name not in REQUIRED[module]:
        raise LookupError(f"{module}.{name} is not in the table of checked names")
    return getattr(_imported(module), name)


# Requests reach some thirty names each; the module stays, its attribute is looked up anew.
_imported = cache(import_module)


def replace(module: str, name: str, make: Callable[[Any], object]) -> None:
    """Put ``make(original)`` in the place of ``name``."""
    setattr(import_module(module), name, make(reach(module, name)))
