"""LangChain's standard tests pass: those that are named here, and no other is left out."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

SUITE = Path(__file__).with_name("standard_suite.py")
PASSED = {
    "TestUnit": """
        test_no_overrides_DO_NOT_OVERRIDE test_init test_init_from_env test_init_streaming
        test_bind_tool_pydantic test_with_structured_output[PersonA]
        test_standard_params test_standard_params_model_override
        test_init_time""",
    "TestIntegration": """
        test_no_overrides_DO_NOT_OVERRIDE test_invoke test_ainvoke test_stream[model0]
        test_stream[model1] test_astream[model0] test_astream[model1] test_stream_events_v3
        test_astream_events_v3 test_batch test_abatch test_conversation
        test_double_messages_conversation test_usage_metadata test_usage_metadata_streaming
        test_stop_sequence test_message_with_name test_invoke_with_model_override
        test_ainvoke_with_model_override test_stream_with_model_override
        test_astream_with_model_override test_structured_output[pydantic]
        test_structured_output[typeddict] test_structured_output[json_schema]
        test_structured_output_async[pydantic] test_structured_output_async[typeddict]
        test_structured_output_async[json_schema] test_structured_output_pydantic_2_v1
        test_structured_output_optional_param test_json_mode
        test_tool_calling[model0] test_tool_calling[model1] test_tool_calling_async
        test_bind_runnables_as_tools test_tool_message_histories_string_content
        test_tool_message_histories_list_content test_tool_calling_with_no_arguments
        test_tool_message_error_status test_structured_few_shot_examples test_agent_loop[model0]
        test_agent_loop[model1] test_unicode_tool_call_integration test_tool_choice""",
}
NOT_PASSED = {
    "load(allowed_objects='all') knows only what langchain_core's own mapping lists": "test_serdes",
    "Model does not support PDF inputs": "test_pdf_inputs",
    "Model does not support audio inputs": "test_audio_inputs",
    "Model does not support image message": "test_image_inputs",
    "Model does not support image tool message": "test_image_tool_message",
    "Model does not support PDF tool message": "test_pdf_tool_message",
    "Model does not explicitly support Anthropic inputs": "test_anthropic_inputs",
    # It would record ten seconds of a real model's stream; the recordings here are in cassettes/.
    "VCR not set up": "test_stream_time",
}


def test_the_standard_tests_pass_and_each_other_one_has_its_reason(tmp_path: Path) -> None:
    """LangChain's standard tests pass; each that is skipped has a reason."""
    report = tmp_path / "report.xml"
    done = subprocess.run(  # noqa: S603 -- the suite beside this file
        [
            sys.executable,
            "-m",
            "pytest",
            "-pbenchmark",
            "--benchmark-disable",
            f"--junitxml={report}",
            SUITE,
        ],
        cwd=SUITE.parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    passed = defaultdict[str, set[str]](set)
    others = defaultdict[str, set[str]](set)
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- pytest wrote it
        name, suite = case.attrib["name"], case.attrib["classname"].rpartition(".")[2]
        skipped = case.find("skipped")
        if skipped is None:
            passed[suite].add(name)
        else:
            others[re.sub(r"( support)?\.$", "", skipped.attrib["message"])].add(name)
    assert passed == {suite: {*names.split()} for suite, names in PASSED.items()}
    assert others == {reason: {*names.split()} for reason, names in NOT_PASSED.items()}
