"""The one place where the emulator is changed: which of its functions we stand in for, and with what."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from kms_patterns.local.inspection import looked_up
from kms_patterns.local.server.authorization import emulator_policies, policy_documents
from kms_patterns.local.server.authorization.caller import principal_arn
from kms_patterns.local.server.emulator import emulator, function_logs, functions, provisioning
from kms_patterns.local.server.emulator.emulator import reach
from kms_patterns.local.server.faults import switching_on
from kms_patterns.local.server.kms.call_log import CallLog
from kms_patterns.local.server.kms.control_plane import key_creation
from kms_patterns.local.server.kms.control_plane.rotation import SHARED
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.requests import denials, session_rules, side_doors
from kms_patterns.local.server.s3 import batch_jobs, bucket_requests, object_encryption, s3_encryption
from kms_patterns.local.server.services import (
    configured_keys,
    distributed_map,
    event_targets,
    execution_results,
    function_deliveries,
    monitoring,
    secret_versions,
    state_machine_keys,
    step_functions,
)
from kms_patterns.local.server.services.service_keys import asking
from kms_patterns.local.server.services.service_uses import SERVICES
from kms_patterns.local.server.stacks import (
    cloudformation,
    resource_schemas,
    stack_keys,
    stack_refusals,
    template_reading,
)

# Checked and changed when a request first needs them: they take as long to import as all the others together.
_OF_STACKS = [module for module in emulator.REQUIRED if module.startswith(emulator.CLOUDFORMATION)]
_OF_DECISIONS: Mapping[str, Mapping[str, Callable[[Any], object]]] = {
    emulator.EVALUATOR: {
        "_permissions_boundary": denials.of_kind("permissions boundary"),
        "_session_policy_limits": denials.of_kind("session policy"), "evaluate": denials.evaluate,
        "combine_resource_policy": denials.combine, "enforce": emulator_policies.filling,
        "_resolve_condition_key": emulator_policies.resolve_condition_key,
        "parse_policy_document": emulator_policies.parse_document, "_first_match": emulator_policies.first_match,
        "evaluate_resource_policy": emulator_policies.resource_policy, "evaluate_trust_policy": session_rules.trusted,
        "is_root_access_key": emulator_policies.root_access_key, "_is_root_key": emulator_policies.signature_unchecked,
        "_resource_policy": session_rules.trust_policy, "resolve_principal": session_rules.of_living_role,
        "_principal_keys": session_rules.principal_keys, "validate_policy_document": policy_documents.identity_policies,
    },
    emulator.IAM: {"_trust_policy_not_principal_error": policy_documents.trust_policies},
    emulator.STS: {
        "register_session": session_rules.registering, "validate_policy_document": policy_documents.identity_policies,
    },
    emulator.ACTIONS: {
        "identity_denial_message": denials.message, "access_denied_response": denials.response,
        "_BOTOCORE_SERVICE_MAP": denials.with_lambda, "extract_iam_action": denials.naming,
        "_s3_action": denials.of_object, "s3_additional_checks": denials.with_further,
        "extract_resource_arn": partial(denials.not_of_kms, "*"),
        "request_tag_context": partial(denials.not_of_kms, {}),
        "s3_service_context": object_encryption.service_context,
        "_S3_OBJECT_QUERY_ACTIONS": object_encryption.object_actions,
    },
}  # fmt: skip


def install(kms: KmsService) -> None:
    """Check the emulator, then put our KMS, SSE-KMS and corrections into it.

    Raises:
        EmulatorMismatch: Nothing was changed; the message says what differs.
    """
    emulator.check([module for module in emulator.REQUIRED if module not in _OF_STACKS])
    replace = emulator.replace
    replace(emulator.KMS, "handle_request", partial(kms_handler, kms))
    replace(emulator.LOGS, "handle_request", configured_keys.configuring(kms, logs=True))
    replace(emulator.LAMBDA, "handle_request", configured_keys.configuring(kms, logs=False))
    replace(emulator.SECRETS_MANAGER, "handle_request", secret_versions.keeping)
    for service in SERVICES:
        replace(service.module, "handle_request", asking(kms, service))
    for dispatcher in ("_dispatch_service_request", "_handle_special_data_plane_request"):
        replace(emulator.APP, dispatcher, side_doors.watching)
    for module, name in ((module, name) for module, table in _OF_DECISIONS.items() for name in table):
        replace(module, name, _OF_DECISIONS[module][name])
    for wrap in (session_rules.filling, partial(enforce, kms.log)):
        replace(emulator.EVALUATOR, "enforce", wrap)
    replace(emulator.STS, "handle_request", partial(session_rules.checking, kms.log))
    replace(emulator.KMS, "_create_key", key_creation.create_key)
    replace(emulator.KMS, "_key_metadata", key_creation.key_metadata)
    replace(emulator.KMS, "_KEY_MATERIAL_FIELDS", lambda fields: (*fields, *SHARED))
    _install_s3(kms)
    cloudformation.when_imported(emulator.CLOUDFORMATION, partial(_install_cloudformation, kms))
    _install_step_functions(kms)
    replace(emulator.CLOUD_CONTROL, "handle_request", lambda _original: side_doors.uncontrolled)
    replace(emulator.CLOUD_TRAIL, "_get_event_queue", lambda _original: partial(_trail, kms.log))
    _install_monitoring(kms)
    _install_functions(kms)


def _install_functions(kms: KmsService) -> None:
    deliveries, notified = function_deliveries, ("lambda", "sns", "sqs")
    asking_kms: dict[str, dict[str, Callable[..., object]]] = {
        emulator.LAMBDA: {
            "_sqs_esm_concurrency": deliveries.polling, "_execute_function": deliveries.reading,
            "_route_async_failure": deliveries.failing, "_send_ddb_stream_failure_record": deliveries.failing_batch,
        },
        emulator.S3: {
            "_get_object_data": configured_keys.reading_objects, "_put_bucket_notification": deliveries.validating,
            **{f"_deliver_event_to_{it}": partial(deliveries.notifying, service=it) for it in notified},
        },
    }  # fmt: skip
    asking_none: dict[str, dict[str, Callable[[Any], object]]] = {
        emulator.LAMBDA: {
            "_poll_dynamodb_streams": deliveries.polling_streams, "_poll_kinesis": deliveries.polling_streams,
            "_fetch_code_from_s3": configured_keys.code_from_s3, "_emit_lambda_logs": function_logs.emitting,
            "handle_function_url_request": functions.serving_url, "_execute_function_warm": functions.execute_warm,
            "_execute_function_with_config_scope": provisioning.execute,
        },
        emulator.LAMBDA_RUNTIME: {
            "_PYTHON_WORKER_SCRIPT": lambda script: function_logs.log_handler(functions.worker_script(script)),
            "execution_credentials": function_logs.execution_environment,
            "_NODEJS_WORKER_SCRIPT": functions.node_worker_script,
        },
        emulator.SNS: {"_deliver_to_lambda": deliveries.publishing_to_function},
        emulator.SQS: {"_dlq_sweep": deliveries.sweeping},
        emulator.FIREHOSE: {"_deliver_to_s3": deliveries.streaming, "_put_s3_object": deliveries.putting},
    }  # fmt: skip
    for module, table in asking_kms.items():
        for name, make in table.items():
            emulator.replace(module, name, partial(make, kms))
    for module, table in asking_none.items():
        for name, make in table.items():
            emulator.replace(module, name, make)
    worker = import_module(emulator.LAMBDA_RUNTIME).Worker
    worker.invoke = functions.worker_invoke(worker.invoke)


def _install_s3(kms: KmsService) -> None:
    replace, storage = emulator.replace, s3_encryption.S3Encryption(kms)
    replace(emulator.APP, "_handle_s3_control_request", batch_jobs.controlling)
    replace(emulator.S3, "_dispatch", partial(object_encryption.dispatching, kms))
    replace(emulator.S3, "_dispatch", storage.dispatch)
    made: dict[str, Callable[[Any], object]] = {
        "_resolve_sse_write_headers": storage.resolve_write, "_check_sse_read_headers": storage.read,
        "_check_sse_c_copy_source": storage.copy_source, "_check_sse_c_part": storage.part,
        "_SSE_STORED_HEADERS": s3_encryption.stored_headers, "_validate_sse_c_headers": object_encryption.customer_key,
        "md5_hash": s3_encryption.entity_tag, "_put_bucket_encryption": bucket_requests.default_encryption,
        "_put_bucket_notification": switching_on, "_delete_objects": bucket_requests.deleting,
        "_enforce_signed_post_policy": bucket_requests.uploading_form,
        "_access_point_policy": bucket_requests.access_point_policy,
    }  # fmt: skip
    for name, make in made.items():
        replace(emulator.S3, name, make)


def _trail(log: CallLog) -> list[dict[str, Any]]:
    # LookupEvents answers for one Region; a call without a key says none.
    here = reach(emulator.RESPONSES, "get_region")()
    return [looked_up(call) for call in log.read() if f":{here}:" in (call.get("keyArn") or f":{here}:")]


def _install_cloudformation(kms: KmsService) -> None:
    steps, replace = cloudformation.ResourceSteps(kms), emulator.replace
    emulator.check(_OF_STACKS)
    replace(emulator.CLOUDFORMATION, "handle_request", cloudformation.acting_for_caller)
    replace(emulator.CUSTOM_RESOURCES, "deliver_response", stack_refusals.answering)
    replace(emulator.PROVISIONERS, "_S3_BUCKET_CONFIGURATIONS", bucket_requests.bucket_configurations)
    replace(emulator.PROVISIONERS, "_RESOURCE_HANDLERS", provisioning.resource_handlers)
    replace(emulator.PROVISIONERS, "_RESOURCE_HANDLERS", provisioning.key_handlers)
    replace(emulator.PROVISIONERS, "_physical_name", cloudformation.names)
    replace(emulator.STACKS, "_add_event", event_targets.record_event)
    replace(emulator.ENGINE, "_resolve_refs", provisioning.resolve_references)
    for module in (emulator.STACKS, emulator.PROVISIONERS):
        replace(module, "_provision_resource", steps.provision)
        replace(module, "_update_resource", steps.update)
        replace(module, "_delete_resource", steps.delete)
    for module in (emulator.ENGINE, emulator.STACKS, emulator.STACK_OPERATIONS, emulator.CHANGE_SETS):
        replace(module, "_evaluate_conditions", provisioning.evaluate_conditions)
    for module in (emulator.ENGINE, emulator.STACK_OPERATIONS, emulator.CHANGE_SETS):
        replace(module, "_resolve_parameters", template_reading.parameters)
    replace(emulator.ENGINE, "_resolve_dynamic_reference", stack_keys.reference(kms))
    replace(emulator.STACKS, "_resolve_stack_outputs", template_reading.outputs)
    replace(emulator.STACKS, "_property_recreation", resource_schemas.recreation)


def _install_monitoring(kms: KmsService) -> None:
    replace = emulator.replace
    replace(emulator.EVENTS, "_invoke_target", partial(event_targets.delivering, kms))
    replace(emulator.SNS, "_deliver_to_sqs", partial(event_targets.publishing_to_queue, kms))
    replace(emulator.EVENTS, "_apply_input_transformer", event_targets.transforming)
    replace(emulator.EVENTS, "_dispatch_event", monitoring.dispatching)
    replace(emulator.CLOUD_WATCH, "_evaluate_alarm", monitoring.evaluate)
    replace(emulator.CLOUD_WATCH, "_dispatch_alarm_actions", partial(monitoring.publishing, kms))
    replace(emulator.CLOUD_WATCH, "handle_request", monitoring.evaluating_first)
    kms.log.told.append(monitoring.announce)


def _install_step_functions(kms: KmsService) -> None:
    for table in (step_functions.REPLACED, execution_results.REPLACED):
        for name, make in table.items():
            emulator.replace(emulator.STEP_FUNCTIONS, name, make)
    emulator.replace(emulator.STEP_FUNCTIONS, "_run_distributed_map", distributed_map.running)
    for starting in ("_start_execution", "_start_sync_execution"):
        emulator.replace(emulator.STEP_FUNCTIONS, starting, partial(state_machine_keys.starting_under_key, kms))
    emulator.replace(emulator.STEP_FUNCTIONS, "handle_request", partial(state_machine_keys.asking_key, kms))
    emulator.replace(emulator.APP, "call_service_handler_sync", step_functions.calling)
    emulator.replace(emulator.ACTIONS, "extract_resource_arn", step_functions.named)


def kms_handler(kms: KmsService, original: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """KMS requests are authorized by us; what is not ours to execute then goes to the emulator."""

    async def handle_request(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Any]
    ) -> Response:
        async def by_emulator(request: bytes) -> Response:
            return await original(method, path, headers, request, query_params)

        return await kms.respond(headers, query_params, body, by_emulator)

    return handle_request


def enforce(log: CallLog, original: Callable[..., Any]) -> Callable[..., Any]:
    """Leave emulator.KMS requests to our handler, which sees their body: only their credentials are checked here."""

    def decide(access_key_id: str, iam_action: str, service: str, *rest: Any, **named: Any) -> object:
        # Served to every authenticated principal: enforcing it checks the signature and nothing else.
        action = "sts:GetCallerIdentity" if service == "kms" else iam_action
        decided = original(access_key_id, action, service, *rest, **named)
        if decided is None:
            on = named | ({"region": rest[0]} if rest else {}) | ({"resource_arn": rest[1]} if rest[1:] else {})
            try:
                side_doors.check(original, access_key_id, iam_action, service, on)
            except side_doors.Refused as refused:
                who, resource = principal_arn(access_key_id), str(on.get("resource_arn", "*"))
                log.write_refusal(who, refused.action, resource, refused.message, code=refused.code)
                raise
        if decided is None and session_rules.beyond_session(access_key_id, iam_action):
            decided = reach(emulator.EVALUATOR, "EvalResult")("ImplicitDeny", "a session of this kind")
        if hasattr(decided, "decision"):
            reason = denials.reason_of(iam_action, explicit=decided.decision == "Deny")
            log.write_denial(iam_action, str(named.get("resource_arn", "*")), decided, reason)
            if bucket_requests.keeping(iam_action, str(named.get("resource_arn", "*"))):
                return None
        elif decided is not None:
            resource = str(named.get("resource_arn", "*"))
            log.write_refusal("anonymous", iam_action, resource, decided.message, code=decided.code)
        return decided

    return decide
