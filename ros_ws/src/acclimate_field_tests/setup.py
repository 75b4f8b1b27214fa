from setuptools import find_packages, setup

NAME = "acclimate_field_tests"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    zip_safe=True,
    maintainer="Acclimate maintainers",
    maintainer_email="maintainers@acclimate.dev",
    description="Scripted field tests: the plan of a flight, and the node that flies it.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "flight_test = acclimate_field_tests.flight_test:main",
        ]
    },
)
