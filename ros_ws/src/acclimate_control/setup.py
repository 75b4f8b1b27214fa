from setuptools import find_packages, setup

NAME = "acclimate_control"

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
    description="Nodes that let a policy fly a robot: policy, safety, simulated robot, recorder.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "policy_node = acclimate_control.policy_node:main",
            "safety_node = acclimate_control.safety_node:main",
            "simulated_robot = acclimate_control.simulated_robot:main",
            "recorder = acclimate_control.recorder:main",
        ]
    },
)
