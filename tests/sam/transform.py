"""Prints the CloudFormation that SAM makes of a template, as the service would. No AWS account.

Run by the Python of `.venv-sam`: it is SAM's own translator.
"""

import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator


def transform(path: str) -> dict:
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/function.zip"  # after the upload
    values = {
        name: parameter.get("Default", "") for name, parameter in template["Parameters"].items()
    }
    return Translator({}, Parser()).translate(template, values)


if __name__ == "__main__":
    json.dump(transform(sys.argv[1]), sys.stdout, indent=2)
